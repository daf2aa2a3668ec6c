"""The demonstration: real data turned into real models, sold and called, through the same services and addresses as everybody's."""
