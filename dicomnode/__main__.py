"""`python -m dicomnode` is `dicomnode`."""

from dicomnode.cli import main

main()
