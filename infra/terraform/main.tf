# The same stack as CDK's, from the same state machine, policies and code. Image build and VPC are CDK's alone.
data "aws_caller_identity" "here" {}
data "aws_region" "here" {}
data "aws_partition" "here" {}

locals {
  account = data.aws_caller_identity.here.account_id
  region  = data.aws_region.here.name
  bucket  = "${var.stack}-jobs-${local.account}-${local.region}"
  names = {
    partition     = data.aws_partition.here.partition
    region        = local.region
    account       = local.account
    stack         = var.stack
    bucket        = local.bucket
    key_arn       = aws_kms_key.stack.arn
    assets_bucket = ""
  }
  functions = {
    trigger  = { handler = "infra.intake.runtime.handler.handle", timeout = 60, dead = false }
    prepare  = { handler = "infra.workflow.runtime.handler.handle", timeout = 60, dead = false }
    complete = { handler = "infra.completion.runtime.handler.handle", timeout = 60, dead = true }
    sweep    = { handler = "infra.completion.runtime.sweep.handle", timeout = 300, dead = true }
  }
  roles = {
    trigger  = "lambda.amazonaws.com"
    prepare  = "lambda.amazonaws.com"
    complete = "lambda.amazonaws.com"
    sweep    = "lambda.amazonaws.com"
    workflow = "states.amazonaws.com"
    batch    = "states.amazonaws.com"
    training = "sagemaker.amazonaws.com"
  }
  tags = { "splatlib:stack" = var.stack }
}

resource "aws_kms_key" "stack" {
  description         = "Everything of the stack ${var.stack}"
  enable_key_rotation = true
  tags                = local.tags
  lifecycle {
    prevent_destroy = true # with the key, all that was encrypted by it would go
  }
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.here.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "EncryptLogs"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${data.aws_partition.here.partition}:logs:${local.region}:${local.account}:log-group:/${var.stack}/*" } }
      }
      ], [for service in ["s3", "cloudwatch", "events", "budgets"] : {
        Sid       = "Publish${title(service)}"
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }])
  })
}

resource "aws_kms_alias" "stack" {
  name          = "alias/${var.stack}"
  target_key_id = aws_kms_key.stack.key_id
}

resource "aws_iam_role" "of" {
  for_each = local.roles
  name     = "${var.stack}-${each.key}"
  tags     = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      { Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = each.value } },
      each.value == "lambda.amazonaws.com" ? {} : { Condition = { StringEquals = { "aws:SourceAccount" = local.account } } }
    )]
  })
}

resource "aws_iam_role_policy" "of" {
  for_each = local.roles
  name     = each.key
  role     = aws_iam_role.of[each.key].id
  policy   = templatefile("${path.module}/../policies/${each.key}.json", local.names)
}

resource "aws_cloudwatch_log_group" "of" {
  for_each          = toset(concat(keys(local.functions), ["workflow", "batch"]))
  name              = "/${var.stack}/${each.key}"
  retention_in_days = 365
  kms_key_id        = aws_kms_key.stack.arn
  tags              = local.tags
}

resource "aws_lambda_function" "of" {
  #checkov:skip=CKV_AWS_115:the queue, the slots and the clock limit its calls; a reservation would throttle the ends of jobs
  #checkov:skip=CKV_AWS_117:it calls AWS's services alone; in a VPC that would take ten endpoints and protect nothing
  #checkov:skip=CKV_AWS_272:the bundle is built where it is deployed from: there is no pipeline in between to distrust
  #checkov:skip=CKV_AWS_50:the workflow is traced; a trace of the function would need rights on all resources
  for_each         = local.functions
  function_name    = "${var.stack}-${each.key}"
  role             = aws_iam_role.of[each.key].arn
  runtime          = "python${var.lambda_python}"
  architectures    = [var.lambda_architecture]
  handler          = each.value.handler
  filename         = var.bundle
  source_code_hash = filebase64sha256(var.bundle)
  timeout          = each.value.timeout
  memory_size      = 512
  kms_key_arn      = aws_kms_key.stack.arn
  tags             = local.tags
  environment {
    variables = { SPLATLIB_PARAMETERS = "/${var.stack}", SPLATLIB_CACHE = "/tmp" }
  }
  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.of[each.key].name
  }
  dynamic "dead_letter_config" {
    for_each = each.value.dead ? [1] : []
    content {
      target_arn = aws_sqs_queue.dead["complete"].arn
    }
  }
  depends_on = [aws_iam_role_policy.of]
}

resource "aws_sfn_state_machine" "stack" {
  #checkov:skip=CKV_AWS_285:all levels are logged; execution data is left out on purpose: it holds names of captures
  name     = var.stack
  role_arn = aws_iam_role.of["workflow"].arn
  tags     = local.tags
  definition = templatefile("${path.module}/../workflow/state_machine.asl.json", {
    prepare_function_arn  = aws_lambda_function.of["prepare"].arn
    complete_function_arn = aws_lambda_function.of["complete"].arn
    records_table         = aws_dynamodb_table.records.name
    slots_table           = aws_dynamodb_table.slots.name
    submitter_slots       = tostring(var.submitter_slots)
    stack_slots           = tostring(var.stack_slots)
  })
  logging_configuration {
    level                  = "ALL"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.of["workflow"].arn}:*"
  }
  tracing_configuration {
    enabled = true
  }
  depends_on = [aws_iam_role_policy.of]
}

resource "aws_sfn_state_machine" "batch" {
  #checkov:skip=CKV_AWS_285:all levels are logged; execution data is left out on purpose: it holds names of captures
  name     = "${var.stack}-batch"
  role_arn = aws_iam_role.of["batch"].arn
  tags     = local.tags
  definition = templatefile("${path.module}/../batches/batch.asl.json", {
    bucket         = local.bucket
    records_table  = aws_dynamodb_table.records.name
    mail_topic_arn = aws_sns_topic.of["mail"].arn
  })
  logging_configuration {
    level                  = "ALL"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.of["batch"].arn}:*"
  }
  tracing_configuration {
    enabled = true
  }
  depends_on = [aws_iam_role_policy.of]
}

resource "aws_ssm_parameter" "settings" {
  #checkov:skip=CKV2_AWS_34:it holds names of resources, no secret
  name = "/${var.stack}/settings"
  type = "String"
  tags = local.tags
  value = jsonencode({
    stack             = var.stack
    region            = local.region
    bucket            = local.bucket
    records_table     = aws_dynamodb_table.records.name
    slots_table       = aws_dynamodb_table.slots.name
    mail_topic_arn    = aws_sns_topic.of["mail"].arn
    training_role_arn = aws_iam_role.of["training"].arn
    kms_key_arn       = aws_kms_key.stack.arn
    instances         = var.instances
    spot              = var.spot
    max_run_s         = var.max_run_s
    max_wait_s        = var.max_wait_s
    max_volume_gb     = var.max_volume_gb
    attempts          = var.attempts
    subnets           = var.subnets
    security_groups   = var.security_groups
  })
}

resource "aws_ssm_parameter" "state_machine" {
  #checkov:skip=CKV2_AWS_34:it holds the name of a resource, no secret
  name  = "/${var.stack}/state-machine-arn"
  type  = "String"
  value = aws_sfn_state_machine.stack.arn
  tags  = local.tags
}

resource "aws_ssm_parameter" "image" {
  #checkov:skip=CKV2_AWS_34:it holds the name of an image, no secret
  name  = "/${var.stack}/image-uri"
  type  = "String"
  value = var.image_uri
  tags  = local.tags
  lifecycle {
    ignore_changes = [value] # a build names the digest
  }
}

output "bucket" {
  value = aws_s3_bucket.jobs.bucket
}

output "state_machine" {
  value = aws_sfn_state_machine.stack.arn
}
