"""What runs the course: pipeline, profiles, session, exercises, studies, pages."""
