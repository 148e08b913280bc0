"""The accepted presentation contexts as the data plane needs them.

Owns what an object's file says about itself before its first byte has come. Never
negotiates: `requests` does.
"""

from dataclasses import dataclass

cimport cython
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from dcmrecv.encoding.transfer_syntax import transfer_syntax_of
from dcmrecv.storage.filemeta import file_meta_template
from dcmrecv.storage.sop_class import prefix_of

from dcmrecv.native.wire cimport Span
from dcmrecv.storage.image cimport META_TEMPLATE_MAX


@dataclass(frozen=True)
class AcceptedContext:
    """An accepted presentation context; PS3.8 section 9.3.3.2."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


cdef Span _span_of(bytes text):
    cdef Span span
    span.ptr = <const uint8_t*><const char*>text
    span.len = <size_t>len(text)
    return span


@cython.final
cdef class AssociationPlan:
    """The accepted presentation contexts of each association with one A-ASSOCIATE-RQ.

    Args:
        contexts: the AcceptedContexts, ids 0..255, each at most once.
        calling_ae_title: without padding.
        mode: the StorageMode, which decides what the files say about themselves.

    Raises:
        ValueError: a transfer syntax is too long for a file.
    """

    def __cinit__(self, contexts, str calling_ae_title not None, mode):
        cdef size_t i
        self.contexts = tuple(contexts)
        self.calling_ae_title = calling_ae_title
        self.owners = []
        memset(self.by_id, 0, sizeof(self.by_id))
        self.plans = <ContextPlan*>calloc(len(self.contexts) + 1, sizeof(ContextPlan))
        if self.plans == NULL:
            raise MemoryError(f"no memory for {len(self.contexts)} contexts")
        for i, context in enumerate(self.contexts):
            self._fill(&self.plans[i], context, mode)
            self.by_id[self.plans[i].id] = &self.plans[i]

    def __dealloc__(self):
        free(self.plans)

    cdef int _fill(self, ContextPlan* plan, context, mode) except -1:
        syntax = transfer_syntax_of(context.transfer_syntax)
        head, tail = file_meta_template(
            mode, context.transfer_syntax, self.calling_ae_title
        )
        if len(head) + len(tail) > META_TEMPLATE_MAX:
            raise ValueError(f"transfer syntax too long: {context.transfer_syntax}")
        abstract_syntax = context.abstract_syntax.encode("latin-1", "replace")
        prefix = (prefix_of(context.abstract_syntax) or "").encode("ascii")
        self.owners += [abstract_syntax, prefix, head, tail]
        plan.id = context.id
        plan.explicit_vr = syntax.explicit_vr
        plan.big_endian = syntax.big_endian
        plan.encapsulated = syntax.encapsulated
        plan.deflated = syntax.deflated
        plan.abstract_syntax = _span_of(abstract_syntax)
        plan.prefix = _span_of(prefix)
        plan.meta_head = _span_of(head)
        plan.meta_tail = _span_of(tail)
        return 0
