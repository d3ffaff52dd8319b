locals {
  alarms = merge(
    { for name, queue in aws_sqs_queue.dead : "dead-${name}" => {
      namespace  = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum", threshold = 1,
      dimensions = { QueueName = queue.name }, words = "Something could not be handled and waits in ${queue.name}"
    } },
    { for name, function in aws_lambda_function.of : "errors-${name}" => {
      namespace  = "AWS/Lambda", metric = "Errors", statistic = "Sum", threshold = 3,
      dimensions = { FunctionName = function.function_name }, words = "${name} raises errors"
    } },
    { for name, function in aws_lambda_function.of : "throttles-${name}" => {
      namespace  = "AWS/Lambda", metric = "Throttles", statistic = "Sum", threshold = 3,
      dimensions = { FunctionName = function.function_name }, words = "${name} is throttled"
    } },
    {
      "intake-waits" = {
        namespace  = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum", threshold = 900,
        dimensions = { QueueName = aws_sqs_queue.intake.name }, words = "Submissions wait longer than a quarter of an hour to be recorded"
      }
      "executions-timed-out" = {
        namespace  = "AWS/States", metric = "ExecutionsTimedOut", statistic = "Sum", threshold = 1,
        dimensions = { StateMachineArn = aws_sfn_state_machine.stack.arn }, words = "An execution took longer than fourteen days"
      }
    }
  )
}

resource "aws_cloudwatch_metric_alarm" "of" {
  for_each            = local.alarms
  alarm_name          = "${var.stack}-${each.key}"
  alarm_description   = "${each.value.words}. What to do: docs/runbook.md, ${each.key}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 1
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.of["alarms"].arn]
  ok_actions          = [aws_sns_topic.of["alarms"].arn]
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "jobs_fail" {
  alarm_name          = "${var.stack}-jobs-fail"
  alarm_description   = "Half of the submissions of an hour failed. What to do: docs/runbook.md, jobs-fail"
  evaluation_periods  = 1
  threshold           = 50
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.of["alarms"].arn]
  ok_actions          = [aws_sns_topic.of["alarms"].arn]
  tags                = local.tags
  metric_query {
    id          = "share"
    expression  = "IF(failed >= 3, 100 * failed / (failed + FILL(succeeded, 0)), 0)"
    label       = "per cent failed"
    return_data = true
  }
  dynamic "metric_query" {
    for_each = { failed = "FAILED", succeeded = "SUCCEEDED" }
    content {
      id = metric_query.key
      metric {
        namespace   = "splatlib"
        metric_name = "Ended"
        dimensions  = { Stack = var.stack, Status = metric_query.value }
        stat        = "Sum"
        period      = 3600
      }
    }
  }
}

locals {
  statuses = ["SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED"]
  graphs = [
    { title = "Submissions that ended", stat = "Sum", period = 3600, stacked = true,
    metrics = [for status in local.statuses : ["splatlib", "Ended", "Stack", var.stack, "Status", status]] },
    { title = "Cost of trainings, USD", stat = "Sum", period = 3600, stacked = true,
    metrics = [for status in slice(local.statuses, 0, 4) : ["splatlib", "CostUSD", "Stack", var.stack, "Status", status]] },
    { title = "Executions", stat = "Sum", period = 300, stacked = false,
    metrics = [for end in ["Started", "Succeeded", "Failed", "Aborted"] : ["AWS/States", "Executions${end}", "StateMachineArn", aws_sfn_state_machine.stack.arn]] },
    { title = "Waiting to be recorded", stat = "Maximum", period = 300, stacked = false,
    metrics = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.intake.name]] },
    { title = "Dead letters", stat = "Maximum", period = 300, stacked = false,
    metrics = [for queue in aws_sqs_queue.dead : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.name]] },
    { title = "Functions: errors", stat = "Sum", period = 300, stacked = false,
    metrics = [for function in aws_lambda_function.of : ["AWS/Lambda", "Errors", "FunctionName", function.function_name]] },
  ]
}

resource "aws_cloudwatch_dashboard" "stack" {
  dashboard_name = var.stack
  dashboard_body = jsonencode({ widgets = concat(
    [for number, graph in local.graphs : {
      type       = "metric"
      width      = 8
      height     = 6
      x          = 8 * (number % 3)
      y          = 6 * floor(number / 3)
      properties = merge(graph, { view = "timeSeries", region = local.region })
    }],
    [{
      type       = "alarm"
      width      = 24
      height     = 3
      x          = 0
      y          = 12
      properties = { title = "", alarms = concat([for alarm in aws_cloudwatch_metric_alarm.of : alarm.arn], [aws_cloudwatch_metric_alarm.jobs_fail.arn]) }
    }]
  ) })
}

resource "aws_budgets_budget" "stack" {
  name         = var.stack
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(var.budget_usd)
  limit_unit   = "USD"
  cost_filter {
    name   = "TagKeyValue"
    values = [join("$", ["user:splatlib:stack", var.stack])]
  }
  dynamic "notification" {
    for_each = { actual80 = ["ACTUAL", 80], actual100 = ["ACTUAL", 100], forecast = ["FORECASTED", 100] }
    content {
      comparison_operator       = "GREATER_THAN"
      notification_type         = notification.value[0]
      threshold                 = notification.value[1]
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [aws_sns_topic.of["alarms"].arn]
    }
  }
}
