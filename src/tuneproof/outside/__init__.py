"""What is not us: packages of data and weights, trainers, runtimes, the machine and the clock."""
