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
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = local.tags
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
      subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
    }
  }
}
