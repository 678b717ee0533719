"""The command `cpvae`: its subcommands, their flags, and what several processes of one run agree on."""
