# The same settings as CDK's, with the same defaults: infra/settings.py. A test compares them.
variable "stack" {
  description = "Name of the stack; begins all others"
  type        = string
  default     = "splatlib"
  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,19}$", var.stack))
    error_message = "Lower-case letters and digits, 2 to 20, the first a letter."
  }
}

variable "bundle" {
  description = "The functions' code as a zip: python -m infra.bundle FOLDER --zip FILE"
  type        = string
}

variable "email" {
  description = "Who gets mails and alarms"
  type        = string
  default     = null
}

variable "instances" {
  description = "SageMaker's names; the first unless a submission names one, the next when there is no capacity"
  type        = list(string)
  default     = ["ml.g6e.xlarge", "ml.g5.xlarge", "ml.g5.2xlarge", "ml.g5.4xlarge", "ml.g6e.4xlarge"]
}

variable "spot" {
  description = "Spare capacity, unless a submission says otherwise"
  type        = bool
  default     = true
}

variable "max_run_s" {
  description = "Seconds of one training job, at most"
  type        = number
  default     = 14400
}

variable "max_wait_s" {
  description = "Seconds more, to wait for spare capacity"
  type        = number
  default     = 28800
}

variable "max_volume_gb" {
  description = "Disk of a training job, at most"
  type        = number
  default     = 500
}

variable "attempts" {
  description = "Training jobs for one submission, after faults of AWS"
  type        = number
  default     = 3
}

variable "stack_slots" {
  description = "Trainings at once: the account's quota"
  type        = number
  default     = 8
}

variable "submitter_slots" {
  description = "Trainings at once of one submitter"
  type        = number
  default     = 3
}

variable "checkpoint_days" {
  description = "Workspaces are deleted after so many days"
  type        = number
  default     = 30
}

variable "old_version_days" {
  description = "Replaced and deleted objects are kept so many days, but those of models/ for ever"
  type        = number
  default     = 30
}

variable "budget_usd" {
  description = "A month; a mail at 80 and 100 per cent"
  type        = number
  default     = 300
}

variable "lambda_python" {
  description = "Of the functions"
  type        = string
  default     = "3.14"
}

variable "lambda_architecture" {
  description = "Of the functions"
  type        = string
  default     = "arm64"
}

variable "subnets" {
  description = "Of an existing VPC, for the trainings; CDK's option makes one"
  type        = list(string)
  default     = []
}

variable "security_groups" {
  description = "Of an existing VPC, for the trainings"
  type        = list(string)
  default     = []
}

variable "image_uri" {
  description = "The image by digest, until a build names another"
  type        = string
  default     = "none"
}
