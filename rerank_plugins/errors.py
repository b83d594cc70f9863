"""Everything the library raises: one tree, so that one `except RerankError` catches it all.

RerankError
├── InvalidValueError    also a ValueError    a wrong value: a blank query, top_n=-1, an unknown option
├── InvalidTypeError     also a TypeError     a wrong type: None or bytes among the documents, a bare string
├── ModelError           also a ValueError    a model that cannot be used
│   ├── ModelNotFoundError                    no such folder, file or Hub repository, or no network
│   └── UnsupportedModelError                 no prompt, no head, two labels, unsafe weights
├── MissingExtraError    also an ImportError  an optional dependency that is not installed
├── ScoringError                              the model gave no usable logit (NaN or infinity)
│   └── OutOfMemoryError also a MemoryError   the device's memory cannot hold a single pair
├── OverloadedError                           more pairs wait than max_queue allows
├── DeadlineExceededError also a TimeoutError a call took longer than its timeout
├── EventLoopError   also a RuntimeError      an async method called outside of asyncio
├── ForkedError                               a model that cannot be used in a forked child
└── ClosedError                               the Reranker was closed
"""


class RerankError(Exception):
    """Base of every error that this library raises on purpose."""


class InvalidValueError(RerankError, ValueError):
    """An argument has the right type and a wrong value."""


class InvalidTypeError(RerankError, TypeError):
    """An argument has the wrong type."""


class ModelError(RerankError, ValueError):
    """A model cannot be loaded or used as a reranker."""


class ModelNotFoundError(ModelError):
    """A folder, a file or a Hub repository is missing or cannot be reached."""


class UnsupportedModelError(ModelError):
    """The files are there, but nothing in them says how a pair is scored, or not safely."""


class MissingExtraError(RerankError, ImportError):
    """An optional dependency is needed and not installed."""


class ScoringError(RerankError):
    """The model answered with logits that cannot be sorted."""


class OutOfMemoryError(ScoringError, MemoryError):
    """The device's memory cannot hold what is to be scored."""


class OverloadedError(RerankError):
    """Too many pairs wait already: try again later."""


class DeadlineExceededError(RerankError, TimeoutError):
    """A call took longer than its timeout."""


class EventLoopError(RerankError, RuntimeError):
    """An async method was called where no asyncio event loop runs, such as under trio."""


class ForkedError(RerankError):
    """A model was loaded before a fork and cannot be used in the child."""


class ClosedError(RerankError):
    """The Reranker was used after `close()`."""


class UnreadableTextWarning(UserWarning):
    """A text is in a language that the model cannot read, such as Chinese for an English one."""


class ImplausibleScoresWarning(UserWarning):
    """A model puts an unrelated text above an answer: it was converted wrongly, or its prompt or head is another's."""
