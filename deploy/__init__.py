"""The same system on AWS: stacks by AWS CDK, images by role, what it costs, and how it scales."""
