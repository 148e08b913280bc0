"""A small object and a large one of the same UID: what is there, what replaces it."""

from tests.builders.command import c_store_rq
from tests.builders.data_set import object_of
from tests.builders.pdu import message

UID = "1.2.3"
NAME = f"CT.{UID}"
OLD = object_of(UID, pixel_bytes=1_000)
NEW = object_of(UID, pixel_bytes=3_000_000)
WHOLE = message(1, c_store_rq(UID), NEW)
