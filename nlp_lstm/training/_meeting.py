"""Where the processes that `torchrun` started find each other: in its store, under a name of this start alone."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

_PAUSE = 0.01  # seconds between two looks at who has called


def meet(patience: timedelta) -> tuple[Store, int, int]:
    """Wait for the others, and return a store that no earlier start has written to, this one's rank and the count.

    torchrun keeps one store for as long as it runs. The addresses that processes of an earlier start left there would
    be taken for those of the processes that it has started in their place. So each process but the first calls under a
    name that is new, and the first one answers all calls, those of the dead among them, with the name of the store in
    which to meet, until all others have come. When a process starts, all of earlier starts have ended.

    Raises RuntimeError where somebody does not come for so long.
    """
    store, rank, count = next(rendezvous("env://", timeout=patience))
    name = uuid.uuid4().hex
    if rank:
        store.set(f"nlp_lstm/call/{rank}", name)
        name = store.get(f"nlp_lstm/answer/{name}").decode()
        store.add(f"nlp_lstm/came/{name}", 1)
    else:
        _answer(store, name, count, time.monotonic() + patience.total_seconds())
    return PrefixStore(name, store), rank, count


def _answer(store: Store, name: str, count: int, until: float) -> None:
    while store.add(f"nlp_lstm/came/{name}", 0) < count - 1:
        for rank in range(1, count):
            if store.check([f"nlp_lstm/call/{rank}"]):
                caller = store.get(f"nlp_lstm/call/{rank}").decode()
                store.set(f"nlp_lstm/answer/{caller}", name)
        if time.monotonic() > until:
            raise RuntimeError("some of them did not come")
        time.sleep(_PAUSE)
