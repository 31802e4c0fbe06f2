"""The machine: hardware, memory, the hub, Colab, the terminal."""
