"""The checks, one module for what they are about; importing a module registers its checks."""
