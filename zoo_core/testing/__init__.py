"""For those who test a plugin: a Hub on loopback, and plugins installed without pip."""
