"""`python -m appliance` is the command `mona-lisa`."""

import sys

from appliance.cli import main

sys.exit(main())
