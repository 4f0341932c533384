"""The errors that aptstream raises on purpose: what is wrong, what was found, what was expected, what to do."""


class AptstreamError(Exception):
    """Root of all errors that a user can mend; the command line prints them without a traceback."""


class FileFormatError(AptstreamError, ValueError):
    """A file does not hold what its format promises."""


class RangingError(AptstreamError, ValueError):
    """The ranges are contradictory, or do not fit the data or the question."""


class PlanError(AptstreamError, ValueError):
    """What was asked for cannot be scanned: too small, too large, or contradictory settings."""


class ModelError(AptstreamError, ValueError):
    """A model file is missing, damaged, or does not fit the question."""


class StoreError(AptstreamError, OSError):
    """A Zarr store or an output folder is missing, damaged, in use, or of another kind."""


class ResumeError(StoreError):
    """Work that was begun cannot be gone on with in this way."""


class WorkerError(AptstreamError, RuntimeError):
    """Worker processes died."""


class MissingPackageError(AptstreamError, ImportError):
    """An optional package is needed for what was asked."""
