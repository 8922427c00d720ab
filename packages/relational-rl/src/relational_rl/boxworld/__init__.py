"""Box-World: the levels, the rules, the environments and the planner."""
