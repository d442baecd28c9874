import os


def main():
    print("hello from Python,", os.environ["GREETED"])
