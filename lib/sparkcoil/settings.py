"""The sections of a run file that a run can do without: gates, a challenger, what it costs, and how a stream goes on.

Knows nothing of files (runfile.py reads them), Spark, MLflow or torch.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from sparkcoil.fields import Drift, Flag, Language, Money, Seconds, Share, Text
from sparkcoil.problems import Problem, Section, expected


class GatesConfig(Section):
    """What all that a run is about to publish has to be like, with `target.publish: end`; past a gate the run exits 4."""

    max_failed_share: Share | None = None
    """The share of rows that may have failed."""
    max_empty_share: Share | None = None
    """Of the rows that have not: the share whose text, answer, token, list of entities, embedding or speech may be empty."""
    max_truncated_share: Share | None = None
    """The share with the warning `truncated`."""
    max_label_share: Share | None = None
    """The share that one label may have; judged from 50 rows on."""
    max_label_drift: Drift | None = None
    """How far labels may be from those of the target's last run: the population stability index; 0.1 is some drift, 0.25 much."""
    max_repetition_share: Share | None = None
    """The share whose text may go round in circles: more than 0.2 of its runs of four words are repeats of earlier ones."""
    language: Language | None = None
    """The language of generated and transcribed text, as two letters; texts of fewer than 40 characters are not judged."""
    max_language_mismatch_share: Share | None = None
    """With a language: the share of judged texts that may be in another one; 0.05 unless said otherwise."""
    known_answers: Flag = False
    """Each executor answers the questions that the model was logged with, before the first row; one that answers otherwise exits 3."""

    @staticmethod
    def conflicts(data: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield a share that belongs to a language where there is none."""
        if data.get("language") is None and data.get("max_language_mismatch_share") is not None:
            yield Problem(("max_language_mismatch_share",), "given without language, and only a language has mismatches")


class ChallengerConfig(Section):
    """A second model that scores the same rows in the same pass, to compare the first one with; loaded and run as `model` says."""

    uri: Text | None = None
    """As model.uri; the target's column `challenger` has what it says of each row, and the report how often both agree."""
    share: Share = 1.0
    """Which share of the different inputs it scores, chosen by their hash."""
    options: Annotated[Mapping[str, Any] | None, expected("a mapping of the task's options")] = None
    """In place of model.options."""

    @staticmethod
    def conflicts(data: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is said of a challenger that is not named."""
        if data.get("uri") is None and (data.get("options") is not None or data.get("share", 1) != 1):
            yield Problem(("uri",), "missing, and without it there is no challenger")


class CostConfig(Section):
    """What the machines cost, for the plan of a run and its report."""

    per_hour: Money | None = None
    """What all executors and the driver cost in an hour, in your money; jobs/plan.py says what a run will cost, its report what it did."""


class StreamConfig(Section):
    """How a stream goes on, where the mode is one."""

    every: Seconds = 60
    """How often the source is looked at for new and changed rows, with `mode: stream`."""
    checkpoint: Text | None = None
    """The folder with what the stream remembers of the source; by default beside the target's files."""
