"""Machines on Amazon EC2; boto3 is imported when AWS is first asked."""

from pymachine.drivers.amazonec2.driver import AmazonEC2Driver

__all__ = ["AmazonEC2Driver"]
