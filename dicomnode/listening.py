"""From settings to listeners: who is let in, what is taken, over plain TCP and TLS."""

import ssl

from dicomnode.config import Settings
from dicomnode.errors import ConfigurationError
from dicomnode.network.access import AccessPolicy, networks
from dicomnode.network.contexts import accepted_contexts, other_storage_classes
from dicomnode.network.intake import Intake
from dicomnode.network.listener import Listener, ListenerSettings
from dicomnode.network.tls import server_context
from dicomnode.network.transport import Limits
from dicomnode.series.screening import Policy


def listeners(settings: Settings, intake: Intake) -> list[Listener]:
    """One listener a port, not started yet; several processes may listen on the same ones."""
    others = other_storage_classes() if settings.receive.other_objects == "accept" else ()
    contexts = accepted_contexts(others=others)
    made = [Listener(_settings(settings, settings.node.port), intake, contexts)]
    if settings.node.tls_port is not None:
        made.append(Listener(_settings(settings, settings.node.tls_port), intake, contexts, server_tls(settings)))
    return made


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
        reuse_port=True,
    )


def server_tls(settings: Settings) -> ssl.SSLContext:
    """Keys for peers that call. Raises ConfigurationError that names the file."""
    tls = settings.tls
    if tls.certificate is None or tls.key is None:
        raise ConfigurationError("tls.certificate: needed for TLS")
    return server_context(tls.certificate, tls.key, tls.authorities if tls.require_peer_certificate else None)
