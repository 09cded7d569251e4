"""Metadata as a few dictionaries: what a store must answer, without a store.

Written against the ports' words alone, so that it shares no code and no mistake with any store. It
predicts only what the ports promise; where they leave a choice it names every answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from juststorage.domain import (
    BlobKey,
    Conditions,
    ContentHash,
    ObjectId,
    ObjectKey,
    ObjectStatus,
    StorageClass,
)
from juststorage.errors import (
    InvalidState,
    JustStorageError,
    KeyConflict,
    NotFound,
    PreconditionFailed,
    UploadExpired,
)
from juststorage.ports import UploadIntent

__all__ = ["ModelBlob", "ModelObject", "ModelStore", "Refusals"]

Refusals = tuple[type[JustStorageError], ...]
"""The errors that a call may raise now; empty when it must succeed."""

WRITING, COMMITTED = ObjectStatus.WRITING, ObjectStatus.COMMITTED
DELETING, DELETED = ObjectStatus.DELETING, ObjectStatus.DELETED


@dataclass
class ModelObject:
    """An object; `over` says that its lease has run out, `has_key` that it holds its key."""

    id: ObjectId
    key: ObjectKey | None
    storage_class: StorageClass
    conditions: Conditions
    replace: bool
    over: bool
    has_key: bool
    status: ObjectStatus = WRITING
    content_hash: ContentHash | None = None

    @property
    def blob_key(self) -> BlobKey:
        """The blob of its content."""
        assert self.content_hash is not None
        return BlobKey(self.content_hash, self.storage_class)


@dataclass
class ModelBlob:
    """A blob's row; `locator` counts only while it is `stored`."""

    refs: int = 0
    stored: bool = False
    claimed: bool = False
    locator: str | None = None


@dataclass
class ModelStore:
    """All of it. `may_*` predict, the others change and expect to be allowed."""

    objects: dict[ObjectId, ModelObject] = field(default_factory=dict)
    blobs: dict[BlobKey, ModelBlob] = field(default_factory=dict)

    # -- keys ---------------------------------------------------------------------------------

    def holder(self, key: ObjectKey | None) -> ModelObject | None:
        """Who holds a key."""
        found = [each for each in self.objects.values() if each.has_key and each.key == key]
        assert len(found) <= 1
        return found[0] if key is not None and found else None

    def _current(self, key: ObjectKey | None) -> ContentHash | None:
        holder = self.holder(key)
        return holder.content_hash if holder and holder.status is COMMITTED else None

    # -- upload -------------------------------------------------------------------------------

    def may_begin(self, intent: UploadIntent) -> Refusals:
        """Whether `begin` is refused."""
        holder = self.holder(intent.new.key)
        if not intent.conditions.hold_for(self._current(intent.new.key)):
            return (PreconditionFailed,)
        if intent.replace or holder is None or (holder.status is WRITING and holder.over):
            return ()
        return (KeyConflict,)

    def begin(self, intent: UploadIntent, *, over: bool) -> ModelObject:
        """Begin, taking over whoever holds the key and may be taken over."""
        new = intent.new
        claims = new.key is not None and not intent.replace
        holder = self.holder(new.key)
        if claims and holder is not None:
            self.abandon(holder)
        made = ModelObject(
            new.id, new.key, new.storage_class, intent.conditions, intent.replace, over, claims
        )
        self.objects[new.id] = made
        return made

    def may_go_on(self, upload: ModelObject) -> Refusals:
        """Whether a step of the upload is refused."""
        return () if upload.status is WRITING else (UploadExpired,)

    def reserve(self, upload: ModelObject, content_hash: ContentHash) -> str | None:
        """Take the reference; the locator where the bytes are durable already."""
        upload.content_hash = content_hash
        blob = self.blobs.setdefault(upload.blob_key, ModelBlob())
        blob.refs += 1
        blob.claimed = False
        return blob.locator if blob.stored else None

    def may_commit(self, upload: ModelObject) -> Refusals:
        """Whether `commit` is refused; both ways where both reasons hold."""
        if upload.status is not WRITING:
            return (UploadExpired,)
        found: list[type[JustStorageError]] = []
        if upload.key is not None and not upload.replace and not upload.has_key:
            found.append(UploadExpired)
        if not upload.conditions.hold_for(self._current(upload.key)):
            found.append(PreconditionFailed)
        return tuple(found)

    def commit(self, upload: ModelObject, locator: str) -> ObjectId | None:
        """Make it visible; the object that it replaced."""
        self.confirm(upload, locator)
        replaced: ObjectId | None = None
        holder = self.holder(upload.key)
        if holder is not None and holder is not upload:
            if holder.status is COMMITTED:
                self.delete(holder)
                replaced = holder.id
            holder.has_key = False
        upload.has_key = upload.key is not None
        upload.status = COMMITTED
        return replaced

    def confirm(self, upload: ModelObject, locator: str) -> None:
        """The bytes are durable at `locator`, unless they are elsewhere already."""
        blob = self.blobs[upload.blob_key]
        if not blob.stored:
            blob.stored, blob.locator = True, locator

    def abandon(self, upload: ModelObject) -> None:
        """WRITING -> DELETED."""
        if upload.content_hash is not None:
            self.blobs[upload.blob_key].refs -= 1
        upload.status, upload.has_key = DELETED, False

    def over(self) -> set[ObjectId]:
        """Uploads that the reaper takes."""
        return {each.id for each in self.objects.values() if each.status is WRITING and each.over}

    # -- change and delete --------------------------------------------------------------------

    def may_change(self, found: ModelObject) -> Refusals:
        """Whether a COMMITTED object is there."""
        return () if found.status is COMMITTED else (NotFound,)

    def delete(self, found: ModelObject) -> None:
        """COMMITTED -> DELETING."""
        self.blobs[found.blob_key].refs -= 1
        found.status, found.has_key = DELETING, False

    def may_move(self, upload: ModelObject, found: ModelObject) -> Refusals:
        """Whether `commit_move` is refused."""
        if upload.status is not WRITING:
            return (UploadExpired,)
        if found.status is not COMMITTED:
            return (NotFound,)
        return () if found.content_hash == upload.content_hash else (InvalidState,)

    def move(self, upload: ModelObject, found: ModelObject, locator: str) -> None:
        """Hand the upload's reference over."""
        self.confirm(upload, locator)
        self.blobs[found.blob_key].refs -= 1
        found.storage_class = upload.storage_class
        upload.status = DELETED

    # -- garbage ------------------------------------------------------------------------------

    def claim(self) -> set[BlobKey]:
        """Claim all garbage."""
        found = {key for key, blob in self.blobs.items() if not blob.refs and not blob.claimed}
        for key in found:
            self.blobs[key].claimed, self.blobs[key].stored = True, False
        return found

    def remove(
        self, keys: set[BlobKey], stuck: set[BlobKey]
    ) -> tuple[set[BlobKey], set[BlobKey], set[BlobKey]]:
        """Remove claimed rows except the stuck ones: removed, taken back, failed."""
        known = keys & self.blobs.keys()
        going = {key for key in known if self.blobs[key].claimed and not self.blobs[key].refs}
        for key in known - going:
            self.blobs[key].claimed = False
        for key in going - stuck:
            del self.blobs[key]
        for each in self.objects.values():
            if each.status is DELETING and each.blob_key in going - stuck:
                each.status = DELETED
        return going - stuck, known - going, going & stuck

    def bury(self) -> int:
        """DELETING -> DELETED where the blob lives on or is gone."""
        found = [each for each in self.objects.values() if self._is_to_bury(each)]
        for each in found:
            each.status = DELETED
        return len(found)

    def _is_to_bury(self, each: ModelObject) -> bool:
        if each.status is not DELETING:
            return False
        blob = self.blobs.get(each.blob_key)
        return blob is None or blob.refs > 0

    def purge(self) -> int:
        """Drop the tombstones."""
        found = [each.id for each in self.objects.values() if each.status is DELETED]
        for object_id in found:
            del self.objects[object_id]
        return len(found)
