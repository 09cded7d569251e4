"""Pages: order, filters and positions, against a model that does it the slow way."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from juststorage.domain import (
    Change,
    Namespace,
    NamespacePattern,
    ObjectKey,
    Position,
    Query,
    SortBy,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.ports import MetadataStore
from juststorage.testing._builders import NAMESPACE, TENANT, make_content, make_intent, store_object
from juststorage.testing._page_model import expected
from juststorage.testing.contracts._metadata_base import MetadataTests, begin, reserve

__all__ = ["MetadataPaging"]

OTHER = TenantId("globex")

KEYS = (
    "a", "A", "ä", "a%", "a%b", "a_", "a_b", "a\\", "a\\b", "ab", "a b", "a'b", 'a"b', "a*", "a?",
    "a[b]", "%", "_", "\\", "/", "a/", "a/b", "a/b/c", "a.b", "~", "\x7e", "\u00a0", "z", "zz",
    "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "\N{GRINNING FACE}", "é", "é",
    "ß", "SS", "İ", "i", "\N{LATIN SMALL LETTER DOTLESS I}", "a" * 1024,
    "\N{GRINNING FACE}" * 256, "-- ;", "${a}", ":a",
)  # fmt: skip

PREFIXES = (
    "a", "A", "a%", "a_", "a\\", "%", "_", "\\", "/", "a/", "a/b", "a*", "a?", "[", "'", '"',
    "~", "z", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "\N{GRINNING FACE}", "e",
    "é", "i", "SS", "absent", "a" * 1024, "$", ":",
)  # fmt: skip

METADATA: tuple[dict[str, Any], ...] = (
    {},
    {"a": 1},
    {"a": 1.0},
    {"a": "1"},
    {"a": True},
    {"a": None},
    {"a": False},
    {"a": 0},
    {"a": ""},
    {"a": "null"},
    {"a": "true"},
    {"a": {"b": 1}},
    {"a": {"b": "x", "c": None}},
    {"a": [1]},
    {"a": ["x", {"b": 1}]},
    {"a": {"0": 1}},
    {"a.b": 1},
    {"": 1},
    {"a": -1},
    {"a": 2.5},
    {"a": 2**53 - 1},
    {"a": 1e300},
    {"a": {}},
    {"a": []},
    {"%": "_", "'": '"'},
    {"ä": {"\N{GRINNING FACE}": "ü"}},
    {"a": "A"},
    {"$": {"$": 1}},
)

WANTED: tuple[dict[str, str | int | float | bool | None], ...] = (
    {"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": True}, {"a": False}, {"a": None}, {"a": 0}, {"a": ""},
    {"a": 0.0}, {"a": "null"}, {"a": "true"}, {"a.b": 1}, {"a.b": "x"}, {"a.c": None},
    {"a.d": None}, {"a.0": 1}, {"a.1": "x"}, {"": 1}, {"a": -1}, {"a": 2.5}, {"a": 2**53 - 1},
    {"a": 1e300}, {"%": "_"}, {"'": '"'}, {"ä.\N{GRINNING FACE}": "ü"}, {"a": "a"}, {"a": "%"},
    {"b": 1}, {"a.b": 1, "a": 1}, {"a.b": "x", "a.c": None}, {"a.b.c": 1}, {"$.$": 1}, {"a.": 1},
    {".": 1},
)  # fmt: skip


async def _walk(store: MetadataStore, query: Query) -> list[StoredObject]:
    """Every page of a query; fails where a page is too long or an end is no end."""
    found: list[StoredObject] = []
    while True:
        page = await store.objects.page(query)
        assert len(page.objects) <= query.limit
        assert page.objects or query.after is None, "`next` led to an empty page"
        found += page.objects
        if page.next is None:
            return found
        assert len(page.objects) == query.limit
        assert page.next.id == page.objects[-1].id
        query = replace(query, after=page.next)


def _ids(objects: list[StoredObject]) -> list[str]:
    return [each.id for each in objects]


def _any_query(chance: random.Random, stored: list[StoredObject]) -> Query:
    """Some filters, whose values are those of an object, and an order."""
    one, other = chance.choice(stored), chance.choice(stored)
    sizes = sorted((one.size_bytes or 0, other.size_bytes or 0))
    times = sorted((one.created_at, other.created_at))
    key = one.key or ""
    begin = chance.randrange(len(key) + 1)
    filters: dict[str, Any] = {
        "namespaces": frozenset({NamespacePattern(one.namespace), NamespacePattern("doc*")}),
        "key_prefix": key[: chance.randrange(3)] or None,
        "key_contains": key[begin : begin + 2] or None,
        "content_type": chance.choice([one.content_type, "text/*", "TEXT/*"]),
        "storage_class": one.storage_class,
        "content_hash": one.content_hash,
        "size_min": sizes[0],
        "size_max": sizes[1],
        "created_from": times[0],
        "created_to": times[1],
        "metadata": chance.choice([*WANTED, {}, {}, {}]),
    }
    asked = chance.sample(sorted(filters), chance.randrange(4))
    return Query(
        tenant_id=chance.choice([TENANT, TENANT, OTHER]),
        sort_by=chance.choice(list(SortBy)),
        descending=chance.random() < 0.5,
        limit=chance.choice([1, 3, 1000]),
        **{name: filters[name] for name in asked},
    )


class MetadataPaging(MetadataTests):
    """`ObjectRepository.page`."""

    async def _fill(self, store: MetadataStore) -> list[StoredObject]:
        """About sixty objects with ties in everything but the time, and what must stay hidden."""
        stored: list[StoredObject] = []
        for turn in range(60):
            intent = make_intent(
                None if turn % 5 == 0 else KEYS[turn % len(KEYS)],
                namespace=("models", "docs", "Models")[turn % 3],
                tenant_id=OTHER if turn % 10 == 9 else TENANT,
                storage_class=list(StorageClass)[turn % 2],
                content_type=("text/plain", "text/html", "textual/x", "TEXT/plain")[turn % 4],
                metadata=METADATA[turn % len(METADATA)],
            )
            content = make_content("x" * (turn % 7))
            stored.append((await store_object(store, intent, content)).object)
        for turn in range(0, 60, 7):
            each = stored[turn]
            change = Change(content_type=each.content_type)
            stored[turn] = await store.objects.update(each.tenant_id, each.id, change)
        await begin(store, make_intent("hidden"))
        await reserve(store, make_intent("hidden too"))
        gone = (await store_object(store, make_intent("gone"))).object
        await store.objects.delete(TENANT, gone.id)
        return stored

    async def test_every_order(self, store: MetadataStore) -> None:
        """Each sort and direction, in pages of several sizes, sees everything once, in order."""
        stored = await self._fill(store)
        for sort_by in SortBy:
            for descending in (False, True):
                query = Query(tenant_id=TENANT, sort_by=sort_by, descending=descending)
                wanted = _ids(expected(stored, query))
                assert len(wanted) == 54
                for limit in (1, 7, 53, 54, 1000):
                    found = _ids(await _walk(store, replace(query, limit=limit)))
                    assert found == wanted, f"{sort_by} descending={descending} limit={limit}"

    async def test_descending_is_the_exact_reverse(self, store: MetadataStore) -> None:
        """Objects without a key come last ascending, first descending."""
        await self._fill(store)
        for sort_by in SortBy:
            up = Query(tenant_id=TENANT, sort_by=sort_by, descending=False, limit=9)
            down = replace(up, descending=True)
            assert _ids(await _walk(store, up)) == _ids(await _walk(store, down))[::-1]
        keys = [each.key for each in await _walk(store, replace(up, sort_by=SortBy.KEY))]
        assert None not in keys[: len(keys) - keys.count(None)]

    async def test_every_filter(self, store: MetadataStore) -> None:
        """Each filter alone, its edges, and several at once, in two orders."""
        stored = await self._fill(store)
        middle = sorted(each.created_at for each in stored)[30]
        tick = timedelta(microseconds=1)
        filters: list[dict[str, Any]] = [
            {"namespaces": frozenset({NAMESPACE})},
            {"namespaces": frozenset({Namespace("docs"), Namespace("Models")})},
            {"namespaces": frozenset()},
            {"namespaces": frozenset({NamespacePattern("mod*")})},
            {"namespaces": frozenset({NamespacePattern("m_d*"), NamespacePattern("doc*")})},
            {"namespaces": frozenset({NamespacePattern("MODEL*"), Namespace("docs")})},
            {"namespaces": frozenset({Namespace("absent")})},
            *({"content_type": kind} for kind in ("text/plain", "text/*", "TEXT/*", "text", "x/y")),
            *({"content_type": kind} for kind in ("t%/plain", "t_xt/*", "te/*", "*/*")),
            *({"storage_class": each} for each in StorageClass),
            {"content_hash": make_content("xxx").content_hash},
            {"content_hash": make_content("absent").content_hash},
            {"size_min": 3},
            {"size_max": 3},
            {"size_max": 0},
            {"size_min": 2, "size_max": 2},
            {"size_min": 4, "size_max": 3},
            {"size_min": 2**40},
            {"created_from": middle},
            {"created_to": middle},
            {"created_from": middle, "created_to": middle},
            {"created_from": middle, "created_to": middle + tick},
            {"tenant_id": OTHER},
            {"tenant_id": TenantId("nobody")},
            {"namespaces": frozenset({NAMESPACE}), "size_min": 1, "content_type": "text/*"},
            {"key_prefix": "a", "key_contains": "b", "storage_class": StorageClass.COLD},
            {"metadata": {"a": 1}, "size_max": 3},
        ]
        for filtered in filters:
            for sort_by in (SortBy.CREATED_AT, SortBy.KEY):
                query = replace(Query(tenant_id=TENANT), sort_by=sort_by, limit=4, **filtered)
                wanted = _ids(expected(stored, query))
                assert _ids(await _walk(store, query)) == wanted, f"{filtered} by {sort_by}"

    @pytest.mark.parametrize("seed", range(3))
    async def test_any_filters_together(self, store: MetadataStore, seed: int) -> None:
        """All hold at once, in every order, page by page, as the model has it."""
        stored = await self._fill(store)
        chance = random.Random(seed)  # noqa: S311 - the same queries at every run
        matched = 0
        for _ in range(60):
            query = _any_query(chance, stored)
            wanted = _ids(expected(stored, query))
            assert _ids(await _walk(store, query)) == wanted, query
            matched += bool(wanted)
        assert matched >= 20, "most of the queries find nothing: they say little"

    async def test_keys_are_compared_byte_for_byte(self, store: MetadataStore) -> None:
        """Prefix, infix and order take no character for another, whatever it means elsewhere."""
        stored = [(await store_object(store, make_intent(key))).object for key in set(KEYS)]
        stored.append((await store_object(store)).object)
        by_key = Query(tenant_id=TENANT, sort_by=SortBy.KEY, descending=False, limit=5)
        assert _ids(await _walk(store, by_key)) == _ids(expected(stored, by_key))
        for text in PREFIXES:
            for name in ("key_prefix", "key_contains"):
                for query in (
                    replace(by_key, **{name: text}),
                    replace(by_key, sort_by=SortBy.CREATED_AT, descending=True, **{name: text}),
                ):
                    wanted = _ids(expected(stored, query))
                    assert _ids(await _walk(store, query)) == wanted, f"{name} {text!a}"

    async def test_keys_are_found_byte_for_byte(self, store: MetadataStore) -> None:
        """Each of many similar keys is its own."""
        stored = {key: (await store_object(store, make_intent(key))).object for key in set(KEYS)}
        for key, each in stored.items():
            assert await store.objects.find_by_key(TENANT, NAMESPACE, ObjectKey(key)) == each

    async def test_metadata_is_equal_in_type_and_value(self, store: MetadataStore) -> None:
        """JSON equality: 1 is 1.0 but not true, null is not absence, a path enters no array."""
        stored = [
            (await store_object(store, make_intent(metadata=metadata))).object
            for metadata in METADATA
        ]
        for wanted in WANTED:
            query = Query(tenant_id=TENANT, metadata=wanted)
            found = sorted(str(each.metadata.value) for each in await _walk(store, query))
            right = sorted(str(each.metadata.value) for each in expected(stored, query))
            assert found == right, f"metadata {wanted}"

    @pytest.mark.parametrize("sort_by", SortBy)
    async def test_a_walk_is_stable_while_others_write(
        self, store: MetadataStore, sort_by: SortBy
    ) -> None:
        """What is there during the whole walk is seen once, whatever comes and goes beside it."""
        stored = [(await store_object(store, make_intent(f"m{turn}"))).object for turn in range(20)]
        stored += [(await store_object(store)).object for _ in range(4)]
        query = Query(tenant_id=TENANT, sort_by=sort_by, descending=False, limit=3)
        seen: list[str] = []
        turn = 0
        while True:
            page = await store.objects.page(query)
            seen += _ids(page.objects)
            if page.next is None:
                break
            query = replace(query, after=page.next)
            turn += 1
            if turn > 6:
                continue  # an ascending walk by time would never come to its end
            for key in (f"a{turn}", f"m{turn}x", f"z{turn}"):
                await store_object(store, make_intent(key), make_content(b"x" * turn))
            passing = (await store_object(store)).object
            await store.objects.delete(TENANT, passing.id)
        steady = [object_id for object_id in seen if object_id in set(_ids(stored))]
        assert len(seen) == len(set(seen))
        assert sorted(steady) == sorted(_ids(stored))

    async def test_a_page_goes_on_behind_what_is_gone(self, store: MetadataStore) -> None:
        """The object at the position may have been deleted since."""
        stored = [(await store_object(store, make_intent(f"k{turn}"))).object for turn in range(6)]
        query = Query(tenant_id=TENANT, sort_by=SortBy.KEY, descending=False, limit=2)
        first = await store.objects.page(query)
        assert first.next == Position("k1", stored[1].id)
        await store.objects.delete(TENANT, stored[1].id)
        second = await store.objects.page(replace(query, after=first.next))
        assert _ids(second.objects) == _ids(stored[2:4])

    async def test_a_page_has_whole_objects(self, store: MetadataStore) -> None:
        """As `find` gives them; only the locator may be left out."""
        stored = (await store_object(store, make_intent("k", metadata={"a": [1]}))).object
        (found,) = (await store.objects.page(Query(tenant_id=TENANT))).objects
        assert found.locator in (None, stored.locator)
        assert replace(found, locator=stored.locator) == stored

    async def test_an_empty_page(self, store: MetadataStore) -> None:
        """Nothing there, nothing next."""
        page = await store.objects.page(Query(tenant_id=TENANT))
        assert (page.objects, page.next) == ([], None)
