"""Where samples lie in time: indices that neither drift nor jump, though samples are late, lost, or lost unsaid.

A sample's index is what was heard before it plus what was lost before it. What was heard is counted; what was lost
has to be measured by the clock, which tells of each sample only when it *arrived*: some time after it sounded. The
least delay of some seconds is nearly the same at any time, so that

- the length of a gap is measured from the time that the index before it stands for, not from the arrival of the
  sample before it. An error of one gap is made good by the next, and errors do not add up;
- a least delay that grows suddenly means that samples were lost and nobody said so;
- a slow change of the least delay is the difference of two crystals. It is followed, and makes no gaps.

A sensor that counts its samples tells what was lost. The clock then only fills in while nothing is heard, and what it
counted too much is made good when the sensor is heard again.
"""

from __future__ import annotations

from math import inf

from hydroear.audio import Block, Gap, Samples
from hydroear.capture.drift import Drift

SEGMENT_S = 3.0
"""The least delay is that of so many seconds; no machine is late for so long with each of its blocks."""
LOSS_S = 0.05
"""A delay that has grown by so much is a loss."""
STEP_S = 0.01
"""A change by more is no drift: a loss that waits to be large enough, or a machine that was late all the time."""
MAX_DRIFT = 500e-6
"""No crystal is off by more."""


class Timeline:
    """Indices of one source's samples.

    Parameters
    ----------
    rate_hz
        Nominal sample rate.
    start_s
        Monotonic time that index 0 stands for, if something is lost before the first sample.

    Attributes
    ----------
    next_index
        Index of the next sample.
    drift
        What is known of the sensor's clock since samples were last lost.
    """

    def __init__(self, rate_hz: int, start_s: float) -> None:
        self._rate_hz = rate_hz
        self._origin_s = start_s  # time that index 0 stands for, moved along with the sensor's clock
        self._untouched = True  # no sample has come, nor any been lost
        self._first_run = True  # until it is known how late the first sample was
        self._loss = ""  # why samples before the next frame are lost; empty if none are
        self._counted = 0  # how many of them were counted in gaps
        self._segment_s: float | None = None
        self._least_s = inf
        self._floor_s: float | None = None  # origin by the least delay since samples were last lost
        self.next_index = 0
        self.drift = Drift()

    @property
    def end_s(self) -> float:
        """Monotonic time that the next index stands for."""
        return self._origin_s + self.next_index / self._rate_hz

    def lose(self, until_s: float, reason: str) -> Gap | None:
        """Count as lost what sounded before a monotonic time; None if that is less than a sample."""
        self._interrupt(reason)
        return self._gap(round((until_s - self.end_s) * self._rate_hz))

    def place(self, samples: Samples, end_s: float, *, loss: str = "", lost: int | None = None) -> list[Block | Gap]:
        """Give samples their index, behind a gap if some were lost before them.

        Parameters
        ----------
        samples
            Shape (n, channels), n at least 1.
        end_s
            Monotonic time at which the last of them arrived.
        loss
            Why others are missing before them; empty if none are. There is at least one then, if `lost` is None.
        lost
            How many are, where the sensor counts them; None where nobody knows.

        Returns
        -------
        list of Block or Gap
            In order. A gap after the block is a loss that nobody said, found some seconds later. Nothing if all the
            samples were counted in a gap before they arrived.
        """
        if lost is not None:
            return self._place_counted(samples, end_s, loss, lost)
        if loss:
            self._interrupt(loss)
        begin_s = end_s - len(samples) / self._rate_hz
        if self._untouched:
            self._origin_s = begin_s
        pieces: list[Block | Gap] = []
        if self._loss:
            missing = round((begin_s - self.end_s) * self._rate_hz)
            if gap := self._gap(missing if self._counted else max(1, missing)):
                pieces.append(gap)
            elif missing < 0:
                late = min(-missing, self._counted, len(samples))
                self._counted -= late
                samples = samples[late:]
                if not len(samples):
                    return []
            self._loss, self._counted = "", 0
        self._untouched = False
        block = Block(samples, self.next_index, end_s)
        self.next_index = block.end_index
        pieces.append(block)
        if gap := self._compare(end_s):
            pieces.append(gap)
        return pieces

    def _place_counted(self, samples: Samples, end_s: float, loss: str, lost: int) -> list[Block | Gap]:
        missing, self._counted = lost - self._counted, 0
        pieces: list[Block | Gap] = []
        self._loss = loss or self._loss
        if gap := self._gap(missing):
            pieces.append(gap)
            self._counted = 0
        elif missing < 0:
            late = min(-missing, len(samples))
            self._counted = -missing - late
            samples = samples[late:]
        if not self._counted:
            self._loss = ""
        if len(samples):
            block = Block(samples, self.next_index, end_s)
            self.next_index = block.end_index
            pieces.append(block)
            self._follow(end_s)
        return pieces

    def _follow(self, end_s: float) -> None:
        """Follow the clock of a sensor that counts: nothing is lost unsaid."""
        self._least_s = min(self._least_s, end_s - self.next_index / self._rate_hz)
        if self._segment_s is None:
            self._segment_s = end_s
        if self._first_run:
            self._origin_s = self._least_s
        if end_s - self._segment_s >= SEGMENT_S:
            self.drift.add(end_s, self._least_s)
            self._origin_s = self._least_s
            self._segment_s, self._least_s, self._first_run = end_s, inf, False

    def _interrupt(self, reason: str) -> None:
        self._loss = reason
        self._segment_s, self._least_s, self._floor_s = None, inf, None
        self.drift.begin_anew()

    def _gap(self, length: int) -> Gap | None:
        if length < 1:
            return None
        self._untouched = self._first_run = False
        gap = Gap(self.next_index, length, self._loss)
        self.next_index = gap.end_index
        self._counted += length
        return gap

    def _compare(self, end_s: float) -> Gap | None:
        """Hold the index against the clock; a gap if samples before it were lost unsaid."""
        origin_s = end_s - self.next_index / self._rate_hz
        self._least_s = min(self._least_s, origin_s)
        if self._first_run:
            self._origin_s = self._least_s
        if self._segment_s is None:
            self._segment_s = end_s
        elapsed_s = end_s - self._segment_s
        if elapsed_s < SEGMENT_S:
            return None
        least_s, self._least_s = self._least_s, inf
        self._segment_s = end_s
        self._first_run = False
        self.drift.add(end_s, least_s)
        if self._floor_s is None:
            self._floor_s = least_s
            return None
        drift_s = 0.0
        if abs(least_s - self._floor_s) < STEP_S:
            drift_s = max(-MAX_DRIFT * elapsed_s, min(least_s - self._floor_s, MAX_DRIFT * elapsed_s))
        self._origin_s += drift_s
        self._floor_s = min(self._floor_s + drift_s, least_s)
        if least_s - self._floor_s < LOSS_S:
            return None
        self._interrupt("samples lost that the driver did not report, length by the clock")
        gap = self._gap(round((least_s - self._origin_s) * self._rate_hz))
        self._loss, self._counted = "", 0
        return gap
