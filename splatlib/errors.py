"""The exception tree. Every error says what failed, why as far as known, and what to try.

SplatlibError                      splatlib
├── ConfigError                    config          a field is unknown, of the wrong type or out of range
├── MissingDependencyError         dependency      an optional library or model file is absent
├── CaptureError                   capture
│   ├── CaptureNotFoundError       capture_not_found
│   ├── CaptureUnreadableError     capture_unreadable    not media, truncated, no frames
│   ├── CaptureUnsafeError         capture_unsafe        an archive that escapes, links, or explodes
│   └── CaptureUnusableError       capture_unusable      readable, but no reconstruction can come of it
├── MasksError                     masks
├── CamerasError                   cameras
│   └── TooFewRegisteredError      too_few_registered
├── TrainingError                  training
│   └── DeviceError                device                the GPU asked for cannot train
│       └── NoGpuError             no_gpu                there is none
├── SceneFormatError               scene_format    another program's format cannot hold these cameras
├── ExportError                    export
├── NotebookError                  notebook        a cell of a batch run failed, or its kernel died
├── S3Error                        s3              Amazon S3 does not give what it is asked for
│   ├── S3AccessError              s3_access             credentials that are missing, expired, or not enough
│   └── S3NotFoundError            s3_not_found
├── LaunchError                    launch          a job cannot be submitted, followed or fetched
│   ├── LaunchAccessError          launch_access         AWS refuses: credentials, permissions, the role
│   ├── LaunchQuotaError           launch_quota          the account may not use (more of) that instance
│   ├── BudgetError                budget                the estimate is above the cap
│   ├── JobNotFoundError           job_not_found
│   ├── JobFailedError             job_failed            it ran, and failed; with the container's own reason
│   └── JobStoppedError            job_stopped           on request, or at its time limit
└── WorkspaceError                 workspace
    ├── WorkspaceNotWritableError  workspace_not_writable
    ├── WorkspaceFullError         workspace_full
    ├── WorkspaceNewerError        workspace_newer       written by a newer splatlib
    ├── WorkspaceBusyError         workspace_busy        another process works in it
    └── ArtifactError              artifact              a stage's output is missing or damaged

Third-party errors are translated where the library is called, once, with ``raise … from error``.
"""

from __future__ import annotations


class SplatlibError(Exception):
    """Base of all errors that splatlib raises on purpose.

    Args:
        what: what failed, naming the file, field or stage.
        why: the cause, as far as known.
        hint: what the user can try.
    """

    code = "splatlib"

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        self.what, self.why, self.hint = what, why, hint
        super().__init__(what, why, hint)

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"Why: {self.why}")
        if self.hint:
            lines.append(f"Try: {self.hint}")
        return "\n".join(lines)


class ConfigError(SplatlibError):
    code = "config"


class MissingDependencyError(SplatlibError):
    code = "dependency"


class CaptureError(SplatlibError):
    code = "capture"


class CaptureNotFoundError(CaptureError):
    code = "capture_not_found"


class CaptureUnreadableError(CaptureError):
    code = "capture_unreadable"


class CaptureUnsafeError(CaptureError):
    code = "capture_unsafe"


class CaptureUnusableError(CaptureError):
    code = "capture_unusable"


class MasksError(SplatlibError):
    code = "masks"


class CamerasError(SplatlibError):
    code = "cameras"


class TooFewRegisteredError(CamerasError):
    code = "too_few_registered"


class TrainingError(SplatlibError):
    code = "training"


class DeviceError(TrainingError):
    code = "device"


class NoGpuError(DeviceError):
    code = "no_gpu"


class SceneFormatError(SplatlibError):
    code = "scene_format"


class ExportError(SplatlibError):
    code = "export"


class NotebookError(SplatlibError):
    code = "notebook"


class S3Error(SplatlibError):
    code = "s3"


class S3AccessError(S3Error):
    code = "s3_access"


class S3NotFoundError(S3Error):
    code = "s3_not_found"


class LaunchError(SplatlibError):
    code = "launch"


class LaunchAccessError(LaunchError):
    code = "launch_access"


class LaunchQuotaError(LaunchError):
    code = "launch_quota"


class BudgetError(LaunchError):
    code = "budget"


class JobNotFoundError(LaunchError):
    code = "job_not_found"


class JobFailedError(LaunchError):
    code = "job_failed"


class JobStoppedError(LaunchError):
    code = "job_stopped"


class WorkspaceError(SplatlibError):
    code = "workspace"


class WorkspaceNotWritableError(WorkspaceError):
    code = "workspace_not_writable"


class WorkspaceFullError(WorkspaceError):
    code = "workspace_full"


class WorkspaceNewerError(WorkspaceError):
    code = "workspace_newer"


class WorkspaceBusyError(WorkspaceError):
    code = "workspace_busy"


class ArtifactError(WorkspaceError):
    code = "artifact"
