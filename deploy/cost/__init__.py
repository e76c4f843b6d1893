"""What a deployment costs: prices in one table, quantities from the fleet, the template and the measured figures."""
