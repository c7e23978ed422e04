"""What a user with a bad result needs: comparing, finding what costs accuracy, finding what is wrong."""
