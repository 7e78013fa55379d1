# A newer release was built meanwhile.

checkout
start_agent
