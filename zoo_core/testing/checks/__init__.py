"""Contains the checks, in modules by subject; importing a module registers its checks."""
