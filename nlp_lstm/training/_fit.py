"""The one training loop, for all recipes."""

from __future__ import annotations

import errno
from collections.abc import Callable

from nlp_lstm.errors import Stopped, TrainingError
from nlp_lstm.training._finite import NotFiniteError
from nlp_lstm.training._interrupt import Interrupt
from nlp_lstm.training._memory import keep_freed_memory
from nlp_lstm.training._objective import Objective
from nlp_lstm.training._progress import Progress, describe_loss
from nlp_lstm.training._run import Run
from nlp_lstm.training._trainer import FitResult, Saved, Trainer


def fit(
    objective: Objective,
    task: Saved,
    run: Run,
    item: str = "token",
    describe: Callable[[float], str] = describe_loss,
) -> FitResult:
    """Train until the budget of `run.options` is spent or validation stops gaining; keep the best weights.

    `item` is what `objective.count` counts, and `describe` says what its `validate` gives in words.
    The model of `objective` ends with the weights of the best validation, which `task` has saved in the run folder;
    metrics.jsonl has a line a validation, and checkpoints/ what `--resume` goes on from. Equal seeds and a budget in
    steps or epochs give equal weights to the bit on one machine with one number of threads; a budget of time cannot.

    Of several processes that `torchrun` started, each takes its rows of every batch, so that the batch size is that of
    all together, and only the first one returns from here: the others exit (SystemExit) when training is over.

    Raises TrainingError where the loss is no longer finite, no checkpoint to resume fits, or the disk is full;
    RunFolderError where the run folder cannot be written or another training writes to it; and KeyboardInterrupt after
    Ctrl-C or SIGTERM, when a checkpoint has been written, or at once after a second one.
    """
    keep_freed_memory()
    shown = Progress(item, describe)
    run.create()
    first = run.processes.first
    try:
        run.processes.hand_over(task)
        trainer = Trainer(objective, task, run, shown)
        with Interrupt() as interrupt:
            trainer.run_until_spent(interrupt)
        result = trainer.finish()
        run.processes.leave()
    except (NotFiniteError, Stopped) as error:
        if not first:  # all come here together, and the first one says it
            raise SystemExit(error.exit_code) from None
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and (run.folder / "config.json").exists():
            raise _no_space(error, run) from error
        raise
    finally:
        shown.close()
        run.close()
    if not first:
        raise SystemExit(0)
    return result


def _no_space(error: OSError, run: Run) -> TrainingError:
    return TrainingError(
        f"There is no space left on the disk while writing {error.filename or run.folder}. What was saved before is "
        f"whole: free some space. To go on: {run.resume_command}"
    )
