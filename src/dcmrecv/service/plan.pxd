"""AssociationPlan: the accepted presentation contexts."""

from dcmrecv.storage.image cimport ContextPlan

cdef enum:
    CONTEXTS_MAX = 256


cdef class AssociationPlan:
    # What is known of an association before its first message; immutable.
    cdef readonly tuple contexts    # of AcceptedContext
    cdef readonly str calling_ae_title
    cdef ContextPlan* plans         # owned; as many as contexts
    cdef const ContextPlan* by_id[CONTEXTS_MAX]     # into `plans`; NULL: not accepted
    cdef list owners                # keep alive what the plans point to

    cdef int _fill(self, ContextPlan* plan, context, mode) except -1
