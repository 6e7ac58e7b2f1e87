"""What is counted of accounts: those that this process registered, erased and retired."""

from prometheus_client import Counter

REGISTERED = Counter("haoma_accounts_registered_total", "Accounts registered, by contract", ["dialect"])
ERASED = Counter("haoma_accounts_erased_total", "Accounts that their users erased", ["dialect"])
RETIRED = Counter("haoma_accounts_retired_total", "Dormant accounts that lost their number to its new user")
