"""Child processes that are never left behind: `Process` is one, `Supervisor` answers for all."""

from sync_assets.processes.process import ChildDiedError, NotReadyError, Process, wait_for
from sync_assets.processes.supervisor import Stopped, Supervisor, exit_code

__all__ = ["ChildDiedError", "NotReadyError", "Process", "Stopped", "Supervisor", "exit_code", "wait_for"]
