"""Allow-lists: open until one is configured, then closed to all but those it names."""

import pytest

from dicomnode.network.access import AccessPolicy, check, networks
from dicomnode.network.intake import Peer, RejectCause

PEER = Peer("PACS", "DICOMNODE", "10.1.2.3", "t")


def test_without_lists_everyone_may_come_in() -> None:
    """And the start can warn of it."""
    assert check(AccessPolicy(), PEER) is None
    assert not AccessPolicy().restricts_callers
    assert AccessPolicy(calling_aets=frozenset({"PACS"})).restricts_callers


@pytest.mark.parametrize(
    ("policy", "cause"),
    [
        (AccessPolicy(called_aets=frozenset({"DICOMNODE"})), None),
        (AccessPolicy(called_aets=frozenset({"dicomnode"})), RejectCause.CALLED_AET),
        (AccessPolicy(calling_aets=frozenset({"PACS", "CT"})), None),
        (AccessPolicy(calling_aets=frozenset({"CT"})), RejectCause.CALLING_AET),
        (AccessPolicy(networks=networks(("10.1.0.0/16",))), None),
        (AccessPolicy(networks=networks(("10.2.0.0/16", "::1"))), RejectCause.NOT_WELCOME),
    ],
)
def test_a_list_denies_all_that_it_does_not_name(policy: AccessPolicy, cause: RejectCause | None) -> None:
    """AE titles differ by case; every list that is configured has to agree."""
    found = check(policy, PEER)
    assert (found.cause if found else None) is cause


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("::ffff:10.1.2.3", True), ("fe80::1%eth0", True), ("2001:db8::1", False), ("not an address", False)],
)
def test_addresses_come_in_several_spellings(address: str, allowed: bool) -> None:
    """IPv4 over IPv6 counts as IPv4, a zone does not matter, and what is no address is denied."""
    policy = AccessPolicy(networks=networks(("10.1.0.0/16", "fe80::/10")))
    assert (check(policy, Peer("PACS", "DICOMNODE", address, "t")) is None) is allowed


def test_a_network_that_is_none_is_named() -> None:
    """For the one line that stops the start."""
    with pytest.raises(ValueError, match=r"10\.1\.0\.0/99"):
        networks(("10.1.0.0/99",))
