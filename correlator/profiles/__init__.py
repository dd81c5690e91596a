"""What vendors differ in, as data."""
