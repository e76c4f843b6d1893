"""The stacks, one file an idea. What needs the CDK is here and in `deploy.app`; every other module does without it."""
