"""A venue that injects faults into another one."""
