"""Who may come in: allow-lists of AE titles and networks. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from dicomnode.network.intake import Peer, RejectCause, Rejection

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """An empty list lets everyone pass; once it has an entry, only what it names does."""

    called_aets: frozenset[str] = frozenset()
    """AE titles that the node answers to, without padding; upper and lower case differ (PS3.5 6.2)."""
    calling_aets: frozenset[str] = frozenset()
    """AE titles that may call."""
    networks: tuple[Network, ...] = ()
    """Networks that may connect."""

    @property
    def restricts_callers(self) -> bool:
        """False if anyone who reaches the port may send: the start warns of it."""
        return bool(self.calling_aets or self.networks)


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Parse "10.1.0.0/16", "::1", … Raises ValueError that names the text."""
    return tuple(ip_network(text, strict=False) for text in texts)


def address_allowed(policy: AccessPolicy, address: str) -> bool:
    """Asked before a byte is read. An IPv4 address that came in over an IPv6 socket counts as IPv4."""
    if not policy.networks:
        return True
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in network for network in policy.networks if network.version == found.version)


def check(policy: AccessPolicy, peer: Peer) -> Rejection | None:
    """Why this peer may not come in, or None."""
    if not address_allowed(policy, peer.address):
        return Rejection(RejectCause.NOT_WELCOME, "network not allowed")
    if policy.called_aets and peer.called_aet not in policy.called_aets:
        return Rejection(RejectCause.CALLED_AET, "called AE title not recognised")
    if policy.calling_aets and peer.calling_aet not in policy.calling_aets:
        return Rejection(RejectCause.CALLING_AET, "calling AE title not recognised")
    return None
