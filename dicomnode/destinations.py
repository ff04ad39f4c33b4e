"""From settings to destinations: how results leave, how they are confirmed, whom to ask for counts."""

import functools
import logging
import ssl
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random

from dicomnode import config
from dicomnode.config import Settings
from dicomnode.errors import ConfigurationError, Retry
from dicomnode.network import commitment, query, sender, stow
from dicomnode.network.outbound import Destination
from dicomnode.network.statuses import Answer, Outcome
from dicomnode.network.tls import client_context
from dicomnode.pipeline import Clock, Count, Send, confirm
from dicomnode.roles import Ask, Courier
from dicomnode.series.part10 import read_file_header
from storage.outbox import Outbox, OutboxItem
from storage.results import ResultStore

log = logging.getLogger(__name__)

REPORT_SECONDS = 0.5
"""So long the association of a commitment request stays open for the report."""
COUNT_SECONDS = 5.0
"""The archive is asked for the number of a series' instances at most so often."""


def couriers(settings: Settings, outbox: Outbox, results: ResultStore, clock: Clock) -> list[Courier]:
    """One courier a destination."""
    deliver = settings.deliver
    return [
        Courier(
            destination=place.name,
            outbox=outbox,
            send=_send(settings, place, results),
            ask=_ask(settings, place, outbox, results, clock),
            first_pause=timedelta(seconds=deliver.first_pause_seconds),
            longest_pause=timedelta(seconds=deliver.longest_pause_seconds),
            ask_again_after=timedelta(seconds=deliver.commitment_seconds),
            clock=clock,
            random=Random(),
        )
        for place in settings.destinations
    ]


def _send(settings: Settings, place: config.Destination, results: ResultStore) -> Send:
    def send(items: Sequence[OutboxItem]) -> Iterator[tuple[OutboxItem, Answer]]:
        by_uid = {item.sop_uid: item for item in items}
        files = [(item.sop_class_uid, item.sop_uid, results.absolute(item.path)) for item in items]
        if place.kind == "stow-rs":
            answers = stow.store(service(settings, place), files)
        else:
            answers = sender.send(dicom_peer(settings, place), files)
        for (_, sop_uid, _), answer in answers:
            yield by_uid[sop_uid], answer

    return send


def dicom_peer(settings: Settings, place: config.Destination) -> Destination:
    """A destination as the network knows it."""
    return Destination(
        called_aet=place.ae_title,
        host=place.host,
        port=place.port,
        calling_aet=settings.node.ae_title,
        tls=_client_tls(settings, place) if place.tls else None,
        connect_seconds=min(10.0, place.timeout_seconds),
        reply_seconds=place.timeout_seconds,
    )


def service(settings: Settings, place: config.Destination) -> stow.WebDestination:
    """A DICOMweb destination as the network knows it."""
    assert place.url is not None
    tls = settings.tls
    return stow.WebDestination(
        url=place.url,
        headers=tuple(place.headers.items()),
        authorities=tls.authorities if place.tls else None,
        certificate=(tls.certificate, tls.key) if place.tls and tls.certificate and tls.key else None,
        timeout_seconds=place.timeout_seconds,
    )


def _client_tls(settings: Settings, place: config.Destination) -> ssl.SSLContext:
    tls = settings.tls
    return client_context(tls.authorities, tls.certificate, tls.key, verify_host=place.verify_host)


def _ask(
    settings: Settings, place: config.Destination, outbox: Outbox, results: ResultStore, clock: Clock
) -> Ask | None:
    if place.commitment and place.kind == "dicom":
        return functools.partial(_ask_commitment, settings, place, outbox, clock)
    if place.verify:
        return functools.partial(_read_back, settings, place, outbox, results, clock)
    return None


def _ask_commitment(
    settings: Settings, place: config.Destination, outbox: Outbox, clock: Clock, items: Sequence[OutboxItem]
) -> None:
    """Storage commitment of what was sent; the report comes now or later, on an association of the archive's own."""
    transaction_uid = f"2.25.{uuid.uuid4().int}"
    outbox.asked([item.id for item in items], transaction_uid=transaction_uid, now=clock())
    instances = [(item.sop_class_uid, item.sop_uid) for item in items]
    answer, report = commitment.request(dicom_peer(settings, place), transaction_uid, instances, REPORT_SECONDS)
    if answer.outcome is not Outcome.ACCEPTED:
        log.warning("%s: storage commitment: %s", place.name, answer.reason)
    if report is not None:
        confirm(report.transaction_uid, report.committed, report.failed, outbox, clock())


def _read_back(
    settings: Settings,
    place: config.Destination,
    outbox: Outbox,
    results: ResultStore,
    clock: Clock,
    items: Sequence[OutboxItem],
) -> None:
    """Asks the archive which of the instances it lists, for archives that offer no storage commitment."""
    outbox.asked([item.id for item in items], transaction_uid=None, now=clock())
    headers = {item.sop_uid: read_file_header(results.absolute(item.path)) for item in items}
    for study_uid, series_uid in sorted({(header.study_uid, header.series_uid) for header in headers.values()}):
        of_series = [item for item in items if headers[item.sop_uid].series_uid == series_uid]
        uids = [item.sop_uid for item in of_series]
        try:
            if place.kind == "dicom":
                there = query.instances_present(dicom_peer(settings, place), study_uid, series_uid, uids)
            else:
                there = stow.instances_present(service(settings, place), study_uid, series_uid, uids)
        except Retry as error:
            log.warning("%s: read-back: %s", place.name, error)
            continue
        for item in of_series:
            if item.sop_uid in there:
                outbox.verified(item.id, now=clock())


def counter(settings: Settings) -> Count:
    """Asks the query destination how many instances a series has, not more often than COUNT_SECONDS."""
    name = settings.assemble.query_destination
    if name is None:
        return lambda study_uid, series_uid: None
    place = dicom_peer(settings, settings.destination(name))
    answers: dict[str, tuple[float, int | None]] = {}

    def count(study_uid: str, series_uid: str) -> int | None:
        now = time.monotonic()
        asked_at, answer = answers.get(series_uid, (-COUNT_SECONDS, None))
        if now - asked_at < COUNT_SECONDS:
            return answer
        try:
            answer = query.series_instances(place, study_uid, series_uid)
        except Retry as error:
            log.warning("%s: count: %s", name, error)
            answer = None
        if len(answers) > 1000:
            answers.clear()
        answers[series_uid] = (now, answer)
        return answer

    return count


def echo_to(settings: Settings, name: str | None) -> str:
    """C-ECHO to a destination, or to the node itself; "" when it answers, else why not."""
    if name is None:
        node = settings.node
        host = "127.0.0.1" if node.host == "0.0.0.0" else node.host
        calling = settings.access.calling_ae_titles[0] if settings.access.calling_ae_titles else node.ae_title
        return sender.echo(Destination(node.ae_title, host, node.port, calling_aet=calling, connect_seconds=5)).reason
    try:
        place = settings.destination(name)
    except KeyError:
        raise ConfigurationError(f"there is no destination named {name!r}") from None
    return sender.echo(dicom_peer(settings, place)).reason
