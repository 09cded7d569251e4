"""Runtime: everything that a configured service consists of, open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from juststorage.config import Config
from juststorage.domain import StorageClass
from juststorage.errors import Misconfigured
from juststorage.metrics import Sheet
from juststorage.plugins import BlobCapabilities, BlobStoreBackend, MetadataStoreBackend
from juststorage.plugins._host import PluginHost
from juststorage.ports import (
    Authenticator,
    BlobStore,
    Clock,
    GCPolicy,
    Hasher,
    MetadataStore,
    Tracer,
)
from juststorage.runtime._background import Supervisor
from juststorage.runtime._leaving import Leaving
from juststorage.runtime._monitor import left_alone
from juststorage.runtime._plan import Plan, Selected
from juststorage.runtime._read_only import ReadOnlyMode
from juststorage.runtime._readiness import Part, need_space, ping_all
from juststorage.usecases import unfinished_restore

__all__ = ["Runtime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """An open service. `open_runtime` makes it; it is valid until that context is left.

    Args:
        blobs: The store of each storage class that is offered.
        hasher: Names new content.
        hashers: Every known hasher by its algorithm, `hasher` included.
        authenticators: In the order of the chain.
        selected: What serves each instance, in the order of opening.
        warnings: What is wrong with plugins that were not selected; a line each.
    """

    config: Config
    host: PluginHost
    clock: Clock
    metadata: MetadataStore
    blobs: Mapping[StorageClass, BlobStore]
    blob_capabilities: Mapping[StorageClass, BlobCapabilities]
    hasher: Hasher
    hashers: Mapping[str, Hasher]
    gc_policy: GCPolicy
    authenticators: tuple[Authenticator, ...]
    selected: tuple[Selected, ...]
    plan: Plan = field(repr=False)
    supervisors: Mapping[str, Supervisor] = field(repr=False)
    lost: Sequence[str] = field(repr=False)
    """Instances that fell over by themselves."""
    sheet: Sheet = field(repr=False)
    """Where this process counts what it does."""
    read_only_mode: ReadOnlyMode = field(repr=False)
    """How the switch of read-only mode stands in this instance."""
    tracer: Tracer | None = field(default=None, repr=False)
    """Makes spans; None where tracing is off."""
    leaving: Leaving = field(default_factory=Leaving, repr=False)
    """Begun once this process is about to stop: from then on it is not ready."""

    @property
    def read_only(self) -> bool:
        """Whether changes of objects are refused, in all workers of this instance.

        Who delivers requests asks for it; an upload that has begun goes on to its end, a collection
        to that of the batch in hand. Runtimes that serve or collect follow the switch of the
        metadata store within 5 s; others know how it stood when they were opened.
        """
        return self.read_only_mode.on

    async def switch_read_only(self, *, on: bool) -> bool:
        """Have changes refused from now on, or taken again.

        In all workers of this instance at once, whatever the metadata store says to it; in all
        other processes of the store within 5 s, and in those that start later.

        Returns:
            Whether the metadata store keeps it. Where not, only this instance was reached: the
            store keeps no switch, or did not answer within 5 s.
        """
        return await self.read_only_mode.turn(on=on)

    async def readiness(self) -> list[Part]:
        """Ask every part whether it can work now. Takes 2 s at most, and raises nothing."""
        pings = {"metadata": self.metadata.answers, "metadata/migrations": self.metadata.ping}
        pings |= {f"blobs.{name}": store.ping for name, store in self.blobs.items()}
        pings |= {
            f"blobs.{name}/space": partial(need_space, store) for name, store in self.blobs.items()
        }
        parts = await ping_all(pings, self.clock)
        parts += [Part(name=name, ok=False, detail="ended by itself") for name in self.lost]
        if left_alone(self.sheet) > 0:
            parts.append(
                Part(
                    name="collector",
                    ok=True,
                    degraded=True,
                    detail="much is stored that the database does not know: it may be the wrong"
                    " one, so nothing of that is collected",
                )
            )
        if self.leaving.begun:
            parts.append(Part(name="server", ok=False, detail="it is stopping"))
        return parts + [
            Part(name=f"{instance}/{job}", ok=trouble is None, detail=trouble)
            for instance, supervisor in self.supervisors.items()
            for job, trouble in supervisor.troubles().items()
        ]

    def refuse_ephemeral(self) -> None:
        """For servers: refuse backends that forget everything, unless configuration allows them.

        Raises:
            Misconfigured: There is one, and `allow_ephemeral` is false.
        """
        if self.config.allow_ephemeral:
            return
        for choice in self.plan.choices():
            backend = choice.offer.item
            if isinstance(backend, BlobStoreBackend | MetadataStoreBackend) and not backend.durable:
                raise Misconfigured(
                    f"{choice.instance}: the backend {backend.name!r} forgets everything when the"
                    " process ends; set allow_ephemeral = true to serve from it"
                )

    async def refuse_half_restored(self) -> None:
        """For servers: refuse a state that a restore has begun to put back, and not ended.

        Raises:
            Misconfigured: There is one.
            Unavailable: The metadata store does not answer.
        """
        unfinished = await unfinished_restore(self.metadata.backups)
        if unfinished is not None:
            again = self.config.command(unfinished.command)
            raise Misconfigured(f"{unfinished.found}: run `{again}` again")
