"""What vendors differ in, as data: one YAML a dialect, read by ``profile``."""
