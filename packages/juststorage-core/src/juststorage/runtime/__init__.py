"""The runtime: a configuration turned into open, guarded, supervised services."""

from juststorage.plugins._guards import unwrap
from juststorage.plugins._host import PluginHost
from juststorage.plugins._records import PluginRecord, PluginStatus
from juststorage.runtime._backing_up import (
    BackupPlace,
    make_backup,
    make_restore,
    make_verification,
    open_backup_place,
)
from juststorage.runtime._clock import SystemClock
from juststorage.runtime._data_dir import make_data_dir, require_data_dir
from juststorage.runtime._leaving import Leaving
from juststorage.runtime._logging import (
    Line,
    line_handler,
    log_fields,
    log_line,
    logging_to_stderr,
    make_handler,
    set_up_logging,
)
from juststorage.runtime._migrating import make_migrator
from juststorage.runtime._monitor import FsckResult
from juststorage.runtime._open import check_selection, make_host, open_runtime
from juststorage.runtime._plan import Selected
from juststorage.runtime._readiness import Part
from juststorage.runtime._runtime import Runtime
from juststorage.runtime._usecases import UseCases, make_auditor, make_collector, make_key_manager

__all__ = [
    "BackupPlace",
    "FsckResult",
    "Leaving",
    "Line",
    "Part",
    "PluginHost",
    "PluginRecord",
    "PluginStatus",
    "Runtime",
    "Selected",
    "SystemClock",
    "UseCases",
    "check_selection",
    "line_handler",
    "log_fields",
    "log_line",
    "logging_to_stderr",
    "make_auditor",
    "make_backup",
    "make_collector",
    "make_data_dir",
    "make_handler",
    "make_host",
    "make_key_manager",
    "make_migrator",
    "make_restore",
    "make_verification",
    "open_backup_place",
    "open_runtime",
    "require_data_dir",
    "set_up_logging",
    "unwrap",
]
