"""The host agent: a small program of its own on each Docker host.

It reads the kernel's TCP tables of every container, says who is who, sums up each container pair
over each interval, and keeps the rows on disk until the service has fetched them. It loads neither
pandas, pyarrow nor pysnmp. Page: docs/agent.md.
"""
