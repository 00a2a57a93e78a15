"""What every program here takes that runs jobs under the shim."""
import argparse
import tempfile


def parser(about):
    arguments = argparse.ArgumentParser(description=about)
    arguments.add_argument("--mpiexec", default="mpirun")
    arguments.add_argument("--shim", required=True)
    arguments.add_argument("--program", required=True)
    arguments.add_argument("--scratch", default=tempfile.gettempdir())
    return arguments
