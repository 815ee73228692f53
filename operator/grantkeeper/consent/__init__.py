"""The pages that people meet: the process that faces the internet and holds no key of any kind."""
