"""From settings to listeners: who is let in, what is taken, over plain TCP and TLS."""

import socket
import ssl
from collections.abc import Sequence

from dicomnode.config import Settings
from dicomnode.errors import ConfigurationError
from dicomnode.network import server
from dicomnode.network.access import AccessPolicy, networks
from dicomnode.network.contexts import accepted_contexts, other_storage_classes
from dicomnode.network.intake import Intake
from dicomnode.network.listener import Listener, ListenerSettings
from dicomnode.network.tls import server_context
from dicomnode.network.transport import Limits
from dicomnode.series.screening import Policy


def open_ports(settings: Settings) -> list[socket.socket]:
    """Listening sockets for `listeners`. Raises ConfigurationError that names the port that cannot be had."""
    return [open_port(field, settings.node.host, port) for field, port in _ports(settings)]


def listeners(settings: Settings, intake: Intake, sockets: Sequence[socket.socket]) -> list[Listener]:
    """One listener for each of `open_ports`, not started yet; several processes may share those."""
    others = other_storage_classes() if settings.receive.other_objects == "accept" else ()
    contexts = accepted_contexts(others=others)
    made = []
    for listening, (field, port) in zip(sockets, _ports(settings), strict=True):
        tls = server_tls(settings) if field == "node.tls_port" else None
        made.append(Listener(_settings(settings, port), intake, contexts, tls, listening))
    return made


def _ports(settings: Settings) -> list[tuple[str, int]]:
    """(name of the setting, port)."""
    node = settings.node
    return [("node.port", node.port)] + ([("node.tls_port", node.tls_port)] if node.tls_port is not None else [])


def open_port(field: str, host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigurationError that names the setting."""
    try:
        return server.open_port(host, port)
    except OSError as error:
        raise ConfigurationError(f"{field}: {host} port {port} cannot be used ({error.strerror})") from None


def screening_policy(settings: Settings) -> Policy:
    """What is done with objects that are never judged."""
    return Policy(refuse_others=settings.receive.other_objects == "refuse")


def _settings(settings: Settings, port: int) -> ListenerSettings:
    receive, access = settings.receive, settings.access
    return ListenerSettings(
        aet=settings.node.ae_title,
        host=settings.node.host,
        port=port,
        limits=Limits(
            pdu_bytes=receive.max_pdu_bytes,
            instance_bytes=receive.max_instance_bytes,
            idle_seconds=receive.idle_seconds,
            association_seconds=receive.association_seconds,
            associations=receive.max_associations,
            associations_per_address=receive.max_associations_per_peer,
        ),
        access=AccessPolicy(
            called_aets=frozenset({settings.node.ae_title} if access.check_called_ae_title else ()),
            calling_aets=frozenset(access.calling_ae_titles),
            networks=networks(access.networks),
        ),
        streaming=receive.streaming,
        shared=settings.node.receivers > 1,
    )


def server_tls(settings: Settings) -> ssl.SSLContext:
    """Keys for peers that call. Raises ConfigurationError that names the file."""
    tls = settings.tls
    if tls.certificate is None or tls.key is None:
        raise ConfigurationError("tls.certificate: needed for TLS")
    return server_context(tls.certificate, tls.key, tls.authorities if tls.require_peer_certificate else None)
