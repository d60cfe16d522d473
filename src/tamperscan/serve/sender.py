"""Sending results: a thread for each receiver, so that one that is out of reach holds up no other."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from tamperscan.errors import ForgedError, OutputError, TamperscanError
from tamperscan.serve.audit import SENT, AuditLog
from tamperscan.serve.deliveries import Deliveries, Delivery, pause_after, result_files
from tamperscan.serve.home import Home
from tamperscan.serve.sending import UnreachableError, read_outgoing, send_by_store, send_by_stow
from tamperscan.serve.settings import DicomDestination, StowDestination

POLL_SECONDS: Final = 0.5

_log = logging.getLogger("tamperscan.serve.sender")


class Sender:
    """Delivers what is due to one receiver, again and again until it has it.

    Sending something twice does no harm: the objects of a job have the same UIDs however often they are made or sent.

    Parameters
    ----------
    name, destination
        The receiver.
    calling
        AE title of the node.
    home, deliveries, audit
        Of the node.
    """

    def __init__(
        self,
        name: str,
        destination: DicomDestination | StowDestination,
        *,
        calling: str,
        home: Home,
        deliveries: Deliveries,
        audit: AuditLog,
    ) -> None:
        self.name, self._destination, self._calling = name, destination, calling
        self._home, self._deliveries, self._audit = home, deliveries, audit
        self._not_before, self._failures, self._last_retry = 0.0, 0, deliveries.last_retry()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sender {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience_seconds: float = 40.0) -> None:
        """End after what is under way."""
        self._ending.set()
        self._thread.join(patience_seconds)

    def _run(self) -> None:
        while not self._ending.wait(POLL_SECONDS):
            try:
                self.deliver_due(time.time())
            except Exception:
                _log.exception("sender failed; it goes on", extra={"facts": {"receiver": self.name}})

    def try_now(self) -> None:
        """Don't wait longer for a receiver that was out of reach."""
        self._not_before = 0.0

    def is_owed_a_try(self) -> bool:
        """Whether something was never tried, though the receiver is not known to be out of reach."""
        return time.time() >= self._not_before and self._deliveries.untried(self.name)

    def deliver_due(self, now: float) -> int:
        """Deliver what is due; gives how many deliveries the receiver has now.

        Where it can't be reached the others that are due wait too, and are not tried in vain. What goes wrong with one
        delivery alone is its own affair: the others go on.

        Parameters
        ----------
        now
            Seconds since 1970.
        """
        if (last_retry := self._deliveries.last_retry()) != self._last_retry:
            self._last_retry = last_retry
            self.try_now()
        if now < self._not_before:
            return 0
        count = 0
        for delivery in self._deliveries.due(self.name, now):
            if self._ending.is_set():
                break
            try:
                problem = self._try_to_deliver(delivery)
            except UnreachableError as error:
                self._wait(self._deliveries.failed(delivery, _in_a_line(error), now, unreachable=True), now)
                break
            except ForgedError as error:
                self._deliveries.refused(delivery, _in_a_line(error))
                continue
            self._failures = 0
            if problem:
                self._deliveries.failed(delivery, problem, now, unreachable=False)
            else:
                self._deliveries.delivered(delivery)
                count += 1
        return count

    def _wait(self, pause: float, now: float) -> None:
        """Leave the receiver alone, the longer the more often it was out of reach on end."""
        self._failures += 1
        self._not_before = now + (pause_after(self._failures) if pause else 0.0)

    def _try_to_deliver(self, delivery: Delivery) -> str:
        """Deliver; gives what went wrong with this delivery alone, if anything did."""
        try:
            return self._deliver(delivery)
        except (UnreachableError, ForgedError):
            raise
        except TamperscanError as error:
            return _in_a_line(error)
        except Exception as error:
            _log.exception("a delivery failed", extra={"facts": {"job": delivery.job, "receiver": self.name}})
            return f"{type(error).__name__} while it was sent; the log tells more"

    def _deliver(self, delivery: Delivery) -> str:
        """Send the objects of a delivery that the receiver lacks; gives why it refused the first, if it did."""
        objects = [read_outgoing(path) for path in result_files(self._home.result_folder(delivery.job))]
        if not objects:
            raise OutputError("There are no DICOM results to send; the report of the job says why.")
        self._deliveries.own(delivery.job, [one.uid for one in objects])
        wanted = [one for one in objects if self._destination.wants(one.context[0])]
        missing = [one for one in wanted if one.uid not in delivery.accepted]
        if isinstance(self._destination, StowDestination):
            outcomes = send_by_stow(self._destination, missing)
        else:
            calling = self._destination.calling or self._calling
            outcomes = send_by_store(self._destination, missing, calling=calling)
        problems: list[str] = []
        accepted: list[str] = []
        try:
            for one, problem in outcomes:
                if problem:
                    problems.append(problem)
                    continue
                facts = {"job": delivery.job, "study": delivery.study_uid, "instance": one.uid}
                self._audit.append(SENT, **facts, receiver=self.name)
                accepted.append(one.uid)
        finally:
            outcomes.close()
            self._deliveries.accepted(delivery, accepted)
        return problems[0] if problems else ""


def _in_a_line(error: TamperscanError) -> str:
    return " ".join(str(error).split())
