resource "aws_s3_bucket" "jobs" {
  #checkov:skip=CKV_AWS_144:captures and splats are with who made them; a second region would double the storage's price
  bucket = local.bucket
  tags   = local.tags
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket" "logs" {
  #checkov:skip=CKV_AWS_18:it holds the access logs: logged into itself, it would never end
  #checkov:skip=CKV_AWS_144:logs of accesses are not worth a second region
  #checkov:skip=CKV_AWS_145:S3 delivers access logs to no bucket whose default is a KMS key
  #checkov:skip=CKV2_AWS_62:nobody waits for an access log
  bucket = "${var.stack}-logs-${local.account}-${local.region}"
  tags   = local.tags
}

locals {
  buckets = { jobs = aws_s3_bucket.jobs, logs = aws_s3_bucket.logs }
}

resource "aws_s3_bucket_versioning" "of" {
  for_each = local.buckets
  bucket   = each.value.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "of" {
  for_each                = local.buckets
  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "of" {
  for_each = local.buckets
  bucket   = each.value.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "jobs" {
  bucket = aws_s3_bucket.jobs.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.stack.arn
    }
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_logging" "jobs" {
  bucket        = aws_s3_bucket.jobs.id
  target_bucket = aws_s3_bucket.logs.id
  target_prefix = "jobs/"
  depends_on    = [aws_s3_bucket_policy.logs]
}

resource "aws_s3_bucket_lifecycle_configuration" "jobs" {
  bucket = aws_s3_bucket.jobs.id
  # never of models/: its weights are needed by every job, for ever
  dynamic "rule" {
    for_each = toset(["captures", "batches", "jobs", "results", "checkpoints"])
    content {
      id     = "old-${rule.key}"
      status = "Enabled"
      filter {
        prefix = "${rule.key}/"
      }
      noncurrent_version_expiration {
        noncurrent_days = var.old_version_days
      }
    }
  }
  rule {
    id     = "checkpoints"
    status = "Enabled"
    filter {
      prefix = "checkpoints/"
    }
    expiration {
      days = var.checkpoint_days
    }
  }
  rule {
    id     = "broken-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id
  rule {
    id     = "forget"
    status = "Enabled"
    filter {}
    expiration {
      days = 365
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_policy" "jobs" {
  bucket = aws_s3_bucket.jobs.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [local.tls_only["jobs"]]
  })
}

resource "aws_s3_bucket_policy" "logs" {
  bucket = aws_s3_bucket.logs.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [local.tls_only["logs"], {
      Sid       = "AccessLogs"
      Effect    = "Allow"
      Principal = { Service = "logging.s3.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "${aws_s3_bucket.logs.arn}/jobs/*"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = aws_s3_bucket.jobs.arn }
      }
    }]
  })
}

locals {
  tls_only = { for name, bucket in local.buckets : name => {
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = [bucket.arn, "${bucket.arn}/*"]
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  } }
}

resource "aws_dynamodb_table" "records" {
  name                        = "${var.stack}-records"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  deletion_protection_enabled = true
  tags                        = local.tags
  lifecycle {
    prevent_destroy = true
  }
  attribute {
    name = "id"
    type = "S"
  }
  attribute {
    name = "status"
    type = "S"
  }
  attribute {
    name = "mail_due"
    type = "S"
  }
  attribute {
    name = "submitted_s"
    type = "N"
  }
  global_secondary_index {
    name            = "by_status"
    hash_key        = "status"
    range_key       = "submitted_s"
    projection_type = "KEYS_ONLY"
  }
  global_secondary_index {
    name            = "by_mail_due"
    hash_key        = "mail_due"
    range_key       = "submitted_s"
    projection_type = "KEYS_ONLY"
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.stack.arn
  }
}

resource "aws_dynamodb_table" "slots" {
  name         = "${var.stack}-slots"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "name"
  tags         = local.tags
  attribute {
    name = "name"
    type = "S"
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.stack.arn
  }
}
