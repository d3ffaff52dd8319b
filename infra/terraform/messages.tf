resource "aws_sns_topic" "of" {
  for_each          = toset(["uploads", "mail", "alarms"])
  name              = "${var.stack}-${each.key}"
  kms_master_key_id = aws_kms_key.stack.arn
  tags              = local.tags
}

locals {
  publishers = {
    uploads = [{ service = "s3", arn = "arn:${data.aws_partition.here.partition}:s3:::${local.bucket}" }]
    mail    = []
    alarms  = [{ service = "cloudwatch", arn = null }, { service = "budgets", arn = null }]
  }
}

resource "aws_sns_topic_policy" "of" {
  for_each = aws_sns_topic.of
  arn      = each.value.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sns:Publish"
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }], [for publisher in local.publishers[each.key] : {
      Sid       = "Publish${title(publisher.service)}"
      Effect    = "Allow"
      Principal = { Service = "${publisher.service}.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = each.value.arn
      Condition = merge({ StringEquals = { "aws:SourceAccount" = local.account } }, publisher.arn == null ? {} : { ArnEquals = { "aws:SourceArn" = publisher.arn } })
    }])
  })
}

resource "aws_sns_topic_subscription" "mail" {
  for_each  = toset(var.email == null ? [] : ["mail", "alarms"])
  topic_arn = aws_sns_topic.of[each.key].arn
  protocol  = "email"
  endpoint  = var.email
}

resource "aws_sqs_queue" "dead" {
  for_each                  = toset(["intake", "topic", "complete"])
  name                      = "${var.stack}-${each.key}-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = local.tags
}

resource "aws_sqs_queue" "intake" {
  name                       = "${var.stack}-intake"
  sqs_managed_sse_enabled    = true
  visibility_timeout_seconds = 360
  message_retention_seconds  = 345600
  redrive_policy             = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead["intake"].arn, maxReceiveCount = 10 })
  tags                       = local.tags
}

locals {
  queues = merge({ intake = aws_sqs_queue.intake }, { for name, queue in aws_sqs_queue.dead : "${name}-dead" => queue })
  senders = {
    "intake"        = { service = "sns.amazonaws.com", arns = [aws_sns_topic.of["uploads"].arn] }
    "topic-dead"    = { service = "sns.amazonaws.com", arns = [aws_sns_topic.of["uploads"].arn] }
    "complete-dead" = { service = "events.amazonaws.com", arns = [aws_cloudwatch_event_rule.ended.arn, aws_cloudwatch_event_rule.sweep.arn] }
    "intake-dead"   = null
  }
}

resource "aws_sqs_queue_policy" "of" {
  for_each  = local.queues
  queue_url = each.value.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }], local.senders[each.key] == null ? [] : [{
      Sid       = "Send"
      Effect    = "Allow"
      Principal = { Service = local.senders[each.key].service }
      Action    = "sqs:SendMessage"
      Resource  = each.value.arn
      Condition = { ArnEquals = { "aws:SourceArn" = local.senders[each.key].arns } }
    }])
  })
}

resource "aws_sns_topic_subscription" "intake" {
  topic_arn      = aws_sns_topic.of["uploads"].arn
  protocol       = "sqs"
  endpoint       = aws_sqs_queue.intake.arn
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead["topic"].arn })
}

resource "aws_s3_bucket_notification" "jobs" {
  bucket = aws_s3_bucket.jobs.id
  topic {
    id            = "jobs"
    topic_arn     = aws_sns_topic.of["uploads"].arn
    events        = ["s3:ObjectCreated:*"]
    filter_prefix = "jobs/"
  }
  depends_on = [aws_sns_topic_policy.of]
}

resource "aws_lambda_event_source_mapping" "intake" {
  event_source_arn        = aws_sqs_queue.intake.arn
  function_name           = aws_lambda_function.of["trigger"].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
  scaling_config {
    maximum_concurrency = 10
  }
}

resource "aws_cloudwatch_event_rule" "ended" {
  name        = "${var.stack}-ended-badly"
  description = "Executions that failed, timed out or were aborted reach the record, whatever they could still do"
  tags        = local.tags
  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail      = { status = ["FAILED", "TIMED_OUT", "ABORTED"], stateMachineArn = [aws_sfn_state_machine.stack.arn] }
  })
}

resource "aws_cloudwatch_event_rule" "sweep" {
  name                = "${var.stack}-sweep"
  description         = "Looks after records whose start, end or mail got lost"
  schedule_expression = "rate(15 minutes)"
  tags                = local.tags
}

locals {
  rules = {
    complete = aws_cloudwatch_event_rule.ended
    sweep    = aws_cloudwatch_event_rule.sweep
  }
}

resource "aws_cloudwatch_event_target" "of" {
  for_each = local.rules
  rule     = each.value.name
  arn      = aws_lambda_function.of[each.key].arn
  dead_letter_config {
    arn = aws_sqs_queue.dead["complete"].arn
  }
  retry_policy {
    maximum_event_age_in_seconds = 21600
    maximum_retry_attempts       = 8
  }
}

resource "aws_lambda_permission" "of" {
  for_each      = local.rules
  statement_id  = "AllowEventBridge"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.of[each.key].function_name
  principal     = "events.amazonaws.com"
  source_arn    = each.value.arn
}
