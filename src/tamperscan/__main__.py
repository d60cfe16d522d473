"""``python -m tamperscan``, as ``accelerate launch -m`` needs it."""

from tamperscan.cli.main import main

main()
